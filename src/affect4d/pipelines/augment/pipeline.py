"""views → the mixed-view augmentation plans (one seeded row per augmented sample) and a sheet to look at."""

from kedro.pipeline import Pipeline, node, pipeline

from affect4d.pipelines.augment.nodes import draw_augmentation_sheet, plan_affect_views, plan_smile_views


def create_pipeline() -> Pipeline:
    """One plan for each way of training; the supervised one mixes within an expression, the other within a sequence."""
    return pipeline(
        [
            node(
                plan_affect_views,
                inputs=[
                    "view_manifest",
                    "subject_split",
                    "params:affect_vlm.augment",
                    "params:affect_vlm.train",
                    "params:inputs",
                ],
                outputs="affect_vlm_view_plan",
                name="plan_affect_views",
            ),
            node(
                plan_smile_views,
                inputs=[
                    "view_manifest",
                    "pseudo_prompts",
                    "subject_split",
                    "params:smile_vlm.augment",
                    "params:smile_vlm.train",
                    "params:inputs",
                ],
                outputs="smile_vlm_view_plan",
                name="plan_smile_views",
            ),
            node(
                draw_augmentation_sheet,
                inputs=["view_manifest", "affect_vlm_view_plan", "params:inputs", "view_store"],
                outputs="augmentation_sheet",
                name="draw_augmentation_sheet",
            ),
        ],
        tags="augment",
    )
