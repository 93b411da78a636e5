"""canonical scans → multi-view pictures, and a contact sheet to look at."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.render.nodes import draw_view_sheet, render_views


def create_pipeline() -> Pipeline:
    """Render every sequence from every view."""
    return pipeline(
        [
            node(
                render_views,
                inputs=["scan_manifest", "raw_corpus", "params:render", "view_store", "params:engine"],
                outputs=["view_manifest", "render_report"],
                name="render_views",
            ),
            node(
                draw_view_sheet,
                inputs=["view_manifest", "sequences", "view_store"],
                outputs="view_contact_sheet",
                name="draw_view_sheet",
            ),
        ],
        tags="render",
    )
