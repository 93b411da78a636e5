"""What MLflow gets of a run: few metrics by plain names, tables of the rest."""

import http.server
import json
import threading
from types import SimpleNamespace

import pandas as pd
import pytest

from affect4d.cli import is_users
from affect4d.tracking import experiment_exists, headline, log_artefact, scores_table, tagged_models

HTML = b"<html><title>Sign in</title></html>"


@pytest.fixture
def other_server(monkeypatch):
    """Starts a server that answers everything in the same way; its address."""
    import mlflow

    before, servers = mlflow.get_tracking_uri(), []
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")

    def start(code, kind, body):
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(code)
                self.send_header("Content-Type", kind)
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                """Say nothing."""

        server = http.server.HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        address = f"http://127.0.0.1:{server.server_port}"
        mlflow.set_tracking_uri(address)
        return address

    yield start
    mlflow.set_tracking_uri(before)
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("code", [200, 403, 502])
def test_a_page_in_place_of_mlflow_is_a_users_error_with_the_remedy(other_server, code):
    address = other_server(code, "text/html", HTML)
    with pytest.raises(
        ConnectionError, match=f"No MLflow server answers at {address}: .*NO_PROXY.*tracking_uri"
    ) as told:
        experiment_exists(address, "affect4d")
    assert is_users(told.value)
    assert "\n" not in str(told.value)


def test_what_a_server_itself_refuses_is_passed_on(other_server):
    from mlflow.exceptions import RestException

    body = json.dumps({"error_code": "PERMISSION_DENIED", "message": "not yours"}).encode()
    address = other_server(403, "application/json", body)
    with pytest.raises(RestException, match="not yours"):
        experiment_exists(address, "affect4d")


SCORED = {
    "accuracy": 0.75,
    "uar": 0.7,
    "macro_f1": 0.6,
    "uf1": 0.5,
    "ece": 0.1,
    "interval": [0.5, 1.0],
    "sequences": 12,
}
ALONE = {"accuracy": 0.5, "macro_f1": 0.4, "interval": [0.25, 0.75]}
IN_SETTINGS = {**SCORED, "settings": {"sequence": SCORED, "single_scan": ALONE}}


def models(owner, document):
    return scores_table(owner, document)["model"].tolist()


def test_a_table_has_a_row_for_each_model_and_setting():
    table = scores_table("affect_vlm", IN_SETTINGS)
    assert table["setting"].tolist() == ["sequence", "single_scan"]
    assert table["accuracy"].tolist() == [0.75, 0.5]
    assert table.loc[0, ["uar", "f1", "ece", "low", "high", "sequences"]].tolist() == [0.7, 0.6, 0.1, 0.5, 1.0, 12]
    assert table.loc[1, ["uar", "ece", "sequences"]].isna().all()


@pytest.mark.parametrize(
    ("owner", "document", "named"),
    [
        ("affect_vlm", SCORED, ["affect_vlm"]),
        ("smile_vlm", {"linear_probe": SCORED, "knn": SCORED}, ["smile_vlm.linear_probe", "smile_vlm.knn"]),
        ("smile_vlm", {"smile_vlm.multi_label": SCORED}, ["smile_vlm.multi_label"]),
        ("baseline", {"chance": SCORED}, ["chance"]),
        ("cross_validation", {"protocol": "3-fold", "models": {"smile_vlm.knn": SCORED}}, ["smile_vlm.knn"]),
    ],
)
def test_models_are_named_with_their_way_of_answering(owner, document, named):
    assert models(owner, document) == named


def test_metrics_are_named_by_score_model_and_setting():
    assert headline(scores_table("smile_vlm", {"zero_shot": IN_SETTINGS})) == {
        "accuracy/smile_vlm zero_shot": 0.75,
        "uar/smile_vlm zero_shot": 0.7,
        "f1/smile_vlm zero_shot": 0.6,
        "ece/smile_vlm zero_shot": 0.1,
        "accuracy/smile_vlm zero_shot single_scan": 0.5,
    }


def test_scores_of_micro_expressions_have_no_accuracy():
    micro = {"uf1": 0.5, "uar": 0.25, "interval": [0.0, 1.0], "exact": 0.1, "clips": 4}
    expected = {"uar/smile_vlm multi_label": 0.25, "f1/smile_vlm multi_label": 0.5}
    assert headline(scores_table("smile_vlm", {"smile_vlm.multi_label": micro})) == expected


def logged(folder, **artefacts):
    """Metrics of a run that logs artefacts, and its folder of files."""
    import mlflow

    mlflow.set_tracking_uri(f"sqlite:///{folder / 'runs.db'}")
    experiment = mlflow.create_experiment("affect4d", (folder / "artifacts").as_uri())
    with mlflow.start_run(experiment_id=experiment) as run:
        for name, (kind, data) in artefacts.items():
            file = folder / f"{name}_file.json"
            file.write_text("{}")
            log_artefact(name, SimpleNamespace(metadata={"mlflow": kind}, _filepath=file), data)
    return mlflow.get_run(run.info.run_id).data.metrics, folder / "artifacts" / run.info.run_id / "artifacts"


def test_scores_of_baselines_are_in_the_table_and_no_metrics_of_the_run(tmp_path):
    metrics, files = logged(
        tmp_path,
        affect_vlm_metrics=("metrics", IN_SETTINGS),
        smile_vlm_metrics=("metrics", {"zero_shot": SCORED, "knn": SCORED}),
        baseline_metrics=("metrics", {"chance": SCORED}),
    )
    assert {name.split("/")[1] for name in metrics} == {"affect_vlm", "affect_vlm single_scan", "smile_vlm zero_shot"}
    table = json.loads((files / "scores.json").read_text())
    found = pd.DataFrame(table["data"], columns=table["columns"])
    assert found["model"].tolist() == ["affect_vlm", "affect_vlm", "smile_vlm.zero_shot", "smile_vlm.knn", "chance"]
    assert (files / "baseline_metrics" / "baseline_metrics_file.json").exists()


def test_documents_become_tables_of_names_and_values(tmp_path):
    metrics, files = logged(tmp_path, robustness=("table", {"mce": {"affect_vlm": 0.5}, "subjects": 4}))
    assert metrics == {}
    assert json.loads((files / "robustness.json").read_text()) == {
        "columns": ["name", "value"],
        "data": [["mce.affect_vlm", 0.5], ["subjects", 4.0]],
    }


def test_packaged_models_of_a_run_are_found_by_the_present_and_the_former_tag():
    tags = {"packaged_model.affect_vlm": "k1", "bundle.smile_vlm": "k2", "model.affect_vlm": "k3"}
    assert tagged_models(tags) == {"affect_vlm": "k1", "smile_vlm": "k2"}
