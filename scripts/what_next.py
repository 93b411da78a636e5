"""Say what a finished run left to look at."""

from pathlib import Path

from rich.console import Console

PAGES = ("report.html", "ingest.html")

pages = [page for name in PAGES for page in Path("data/08_reporting").glob(f"*/{name}") if page.is_file()]
newest = max(pages, key=lambda page: page.stat().st_mtime, default=None)
if newest is not None:
    Console(highlight=False, soft_wrap=True).print(
        f"""
Open [bold]{newest}[/bold] in a browser, or:

    [bold]make mlflow[/bold]   compare this run with others
    [bold]make viz[/bold]      browse the pipelines and their artefacts
    [bold]make app[/bold]      look at scans, their views, and both models' predictions
"""
    )
