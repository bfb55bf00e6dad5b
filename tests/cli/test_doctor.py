"""`depthcue doctor` as a user calls it."""

import json

import pytest

from depthcue.cli.main import main


@pytest.fixture(params=[True, False])
def able(request, monkeypatch):
    """Lets the doctor find weights, or none."""
    from depthcue.runtime import doctor

    status = "ok" if request.param else "broken"
    finding = doctor.Finding("weights", status, "as found", needed=True, remedy="reinstall")
    monkeypatch.setattr(doctor, "_weights", lambda: [finding])
    return request.param


def test_the_exit_status_says_whether_masking_works(able, capfd):
    assert main(["doctor"]) == (0 if able else 1)
    out = capfd.readouterr().out
    assert "torch" in out and "H.264 is written and read" in out
    assert ("weights: reinstall" in out) is not able
    assert out.rstrip().endswith("works here." if able else "not work here.")


def test_json_is_one_document(able, capfd):
    main(["doctor", "--json"])
    out, err = capfd.readouterr()
    document = json.loads(out)
    assert document["command"] == "doctor" and document["able"] is able and err == ""
    assert {"what", "status", "detail", "needed", "remedy"} == set(document["findings"][0])
