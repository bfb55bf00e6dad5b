"""`depthcue bench`: its words reach the measurement, its document stdout, its tables and plots the folder."""

import json

import pytest

from depthcue.bench import job
from depthcue.cli.main import main


@pytest.fixture
def asked(monkeypatch):
    calls = []

    def measured(*arguments):
        calls.append(arguments)
        return {"command": "bench", "answer": 42}

    monkeypatch.setattr(job, "bench_specs", measured)
    monkeypatch.setattr("depthcue.cli.measuring.show_results",
                        lambda results, folder, as_json, quiet: print(json.dumps(results)))
    return calls


def test_words_become_settings(asked, tmp_path, capsys):
    assert main(["bench", "--out", str(tmp_path), "-w", "drn22", "-t", "hu-resnet50", "--batch-size", "1",
                 "--batch-size", "16", "--size", "320x96", "--seconds", "0.5", "--source", "a.mp4", "--threads", "2",
                 "--lambda", "3", "--device", "cpu", "--json"]) == 0
    weights, target, out, settings, device, _ = asked[0]
    assert (weights, target, out, device) == ("drn22", "hu-resnet50", tmp_path, "cpu")
    assert settings == job.Settings(lam=3.0, size=(96, 320), batch_sizes=(1, 16), seconds=0.5, threads=2,
                                    source="a.mp4")
    assert json.loads(capsys.readouterr().out)["answer"] == 42


def test_the_defaults_are_the_measurements_own(asked, tmp_path):
    assert main(["bench", "--out", str(tmp_path)]) == 0
    weights, target, _, settings, device, _ = asked[0]
    assert (weights, target, device, settings) == ("compact-indoor", None, "auto", job.Settings())


@pytest.mark.parametrize(("words", "status"), [
    (["--weights", "nonsense"], 1), (["--device", "tpu"], 1), (["--size", "31x17"], 1), (["--size", "big"], 2),
    (["--batch-size", "0"], 2)])
def test_mistakes_end_with_their_status(words, status, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(job, "rendered_pictures", lambda: [])
    monkeypatch.setattr(job, "_as_batch", lambda pictures: None)
    assert main(["bench", "--out", str(tmp_path / "out"), *words]) == status
    assert not (tmp_path / "out").exists()
    assert capsys.readouterr().out == ""
