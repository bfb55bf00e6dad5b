"""What records keep, and what they leave out."""

from depthcue.record import document, without_paths


def test_paths_of_the_machine_are_left_out() -> None:
    told = {"command": ["train", "--data", "nyu:/home/me/nyu", "--out", "/tmp/run", "--data", "scenes:indoor:500"],
            "init": "./start.safetensors", "target": "monodepth2-resnet18:nets/mono_640x192", "steps": 5}
    assert without_paths(told) == {
        "command": ["train", "--data", "nyu:PATH", "--out", "PATH", "--data", "scenes:indoor:500"],
        "init": "PATH", "target": "monodepth2-resnet18:PATH", "steps": 5}


def test_documents_say_what_made_them() -> None:
    made = document("probe", images=3)
    assert made["schema"] == 1 and made["command"] == "probe" and made["images"] == 3
    assert made["revision"] and made["machine"]["torch"]
