"""Say what a finished run left to look at."""

from pathlib import Path

from rich.console import Console

newest = max(Path("data/08_reporting").glob("*/report.html"), key=lambda page: page.stat().st_mtime)
Console(highlight=False).print(
    f"""
Open [bold]{newest}[/bold] in a browser, or:

    [bold]make mlflow[/bold]   compare this run with others
    [bold]make viz[/bold]      browse the pipelines and their artefacts
    [bold]make app[/bold]      look at samples, their views, and both models' answers
"""
)
