"""The section of bench: what it says follows from the numbers, and it draws."""

import copy

import pytest
from comparison_results import typed

from depthcue.report.bench import jobs_table, limits_table, net_table, section, sentences
from depthcue.report.page import section_of
from depthcue.report.section import draw_plots

REFERENCE = "torch as given fp32"


def entry(name, precision, rates, *, right=True, ratio=1.0, rewritten=True, share=0.4, scope="runner", max_abs=2e-6):
    timings = [{"batch": batch, "scope": scope, "median_ms": 1000 * batch / rate, "p95_ms": 1100 * batch / rate,
                "frames_per_second": rate, "calls": 9, "ratio": ratio, "share_of_limit": share}
               for batch, rate in rates.items()]
    return {"name": name, "backend": name.split()[0], "device": "cpu", "precision": precision, "rewritten": rewritten,
            "agreement": {"right": right, "max_abs": max_abs, "mean_abs": max_abs, "changed_side": 0.0},
            "host_mib": 41, "device_mib": None, "timings": timings, "left_out": []}


@pytest.fixture
def results():
    contenders = [
        entry(REFERENCE, "fp32", {1: 20.0, 4: 25.0}, rewritten=False, share=0.5),
        entry("onnx fp32", "fp32", {1: 30.0, 4: 40.0}, ratio=1.6, share=0.7),
        entry("openvino bf16", "bf16", {1: 50.0, 4: 80.0}, ratio=3.2, share=0.31, max_abs=0.02),
        entry("torch bf16", "bf16", {1: 90.0, 4: 95.0}, ratio=4.0, right=False, max_abs=0.5),
    ]
    mask = {"kind": "mask", "name": "small", "height": 144, "width": 192, "parameters": 1000, "file": None,
            "reference": REFERENCE,
            "flops_per_frame": {"as_given": 1_800_000_000, "rewritten": 1_500_000_000},
            "ranking": ["openvino bf16", "onnx fp32", REFERENCE], "contenders": contenders,
            "failed": [{"name": "tensorrt fp16", "reason": "no GPU."}], "left_out": [{"batch": 8, "reason": "slow"}]}
    jobs = [{"name": name, "source": source, "frames": 96, "frames_per_second": rate, "all": [rate - 1, rate, rate + 2],
             "share_of_runner": share}
            for name, source, rate, share in (("onnx fp32", "video", 38.0, 0.95), ("openvino bf16", "video", 72.0, 0.9),
                                              ("onnx fp32", "pictures", 36.0, 0.9))]
    return {
        "schema": 1, "command": "bench", "arguments": ["bench"], "revision": "abc", "trained": True, "device": "cpu",
        "machine": {"processor": "Some CPU", "gpu": None, "platform": "Linux", "threads": 2, "cores": 2},
        "weights": {"name": "small", "sha256": "0" * 64}, "target_net": None, "without_target": None, "threads": 2,
        "settings": {"batch_sizes": [1, 4, 8]},
        "limits": {"device": "cpu", "matrix_side": 1536, "matmul_tflops": {"fp32": 0.151, "bf16": 1.02},
                   "memory_gb_s": 21.7},
        "measured": [mask], "end_to_end": {"jobs": jobs, "failed": []}}


def test_sentences_follow_from_the_numbers(results):
    said = sentences(typed(results))
    fastest, in_float32 = said[0].split("; in float32 ")
    for words, parts in ((fastest, ("mask net small", "openvino bf16: 80 frames", "batch 4", "3.2 times", "31%")),
                         (in_float32, ("onnx fp32: 40 frames", "batch 4", "1.6 times", "70%"))):
        assert all(part in words for part in (*parts, REFERENCE))
    for words, parts in ((said[1], ("video", "72 frames", "openvino bf16", "90%")),
                         (said[2], ("folder of pictures", "36 frames", "onnx fp32", "90%"))):
        assert all(part in words for part in parts)
    assert "torch bf16" in said[3] and "farther" in said[3]
    assert said[4] == "Does not run here: tensorrt fp16 (mask net): no GPU."
    assert "Batches of 8 frames" in said[5] and len(said) == 6


def test_a_machine_that_gains_nothing_gets_a_sentence(results):
    results["measured"][0]["ranking"] = [REFERENCE]
    assert sentences(typed(results))[0].startswith(
        f"The mask net small is fastest with {REFERENCE}: 25 frames a second at batch 4, 50%")


def test_missing_candidates_have_a_sentence(results):
    results |= {"trained": False, "without_target": "it is not at hand"}
    results["measured"][0]["contenders"][1]["left_out"] = [{"batch": 4, "reason": "out of memory"}]
    results["measured"][0]["ranking"] = []
    results["end_to_end"]["failed"] = [{"name": "onnx fp32", "source": "source", "reason": "x" * 300}]
    said = sentences(typed(results))
    assert said[0].startswith("The mask net is untrained")
    assert not any("fastest" in sentence for sentence in said)
    assert "The depth net was left out: it is not at hand." in said
    assert "onnx fp32 (mask net) did not run batches of 4: out of memory." in said
    assert said[-1].startswith("onnx fp32 failed on the source given: xxx") and len(said[-1]) < 220


def test_rows_are_sorted_by_speed_with_wrong_ones_last(results):
    table = net_table(typed(results), results["measured"][0])
    assert [row[0] for row in table.rows] == ["openvino bf16", "onnx fp32", REFERENCE, "torch bf16"]
    assert table.columns == ("run by", "ms, 1 frame (p95)", "frames/s (batch)", "of limit", "× as given", "MiB",
                             "difference")
    assert table.rows[0] == ("openvino bf16", "20 (22)", "80 (4)", "31%", "3.20", "41", "0.02")
    assert table.rows[3][-1] == "wrong: 0.5"
    assert table.title == ("Mask net small at 192x144 on Some CPU, 2 threads; 1.8 GFLOP a frame as given, 1.5 GFLOP a "
                           "frame rewritten")


def test_on_a_gpu_the_network_alone_has_a_column_and_the_share(results):
    results |= {"device": "cuda", "machine": results["machine"] | {"gpu": "Some GPU"}}
    method = results["measured"][0]["contenders"][2]
    method["timings"] += entry("any", "bf16", {4: 200.0}, share=0.6, scope="network")["timings"]
    method["device_mib"] = 77
    table = net_table(typed(results), results["measured"][0])
    assert "Some GPU" in table.title and table.columns[3:7] == ("net alone", "of limit", "× as given", "GPU MiB")
    assert table.rows[0][3:7] == ("200 (4)", "60%", "3.20", "77") and table.rows[1][3:5] == ("", "")


def test_jobs_and_limits_as_tables(results):
    table = jobs_table(typed(results))
    assert table.columns == ("run by", "video", "pictures") and "96 frames each" in table.title
    assert table.rows == (("openvino bf16", "72 (90%)", ""), ("onnx fp32", "38 (95%)", "36 (90%)"))
    assert limits_table(typed(results)).rows == (("matrix product, fp32", "151 GFLOP/s"), ("matrix product, bf16",
                                          "1.02 TFLOP/s"), ("memory, read and written", "21.7 GB/s"))


def test_an_exported_file_is_named_and_compared_with_onnx_runtime(results):
    contenders = [entry("onnx int8", "int8", {1: 30.0, 4: 40.0}), entry("openvino int8", "int8", {1: 50.0}, ratio=1.7)]
    part = results["measured"][0] | {
        "file": "mask8.onnx", "reference": "onnx int8", "contenders": contenders, "left_out": [],
        "ranking": ["openvino int8", "onnx int8"], "flops_per_frame": {"as_given": None, "rewritten": None}}
    results["measured"] = [part]
    assert sentences(typed(results))[0].startswith(
        "The mask net small (mask8.onnx) is fastest with openvino int8: 50 frames a second at batch 1, 1.7 times as "
        "fast as onnx int8")
    table = net_table(typed(results), part)
    assert "small (mask8.onnx) at 192x144" in table.title and "× onnx int8" in table.columns


def test_it_draws_with_and_without_jobs(results, tmp_path):
    both = copy.deepcopy(results)
    both["measured"].append(both["measured"][0] | {"kind": "depth"})
    written = draw_plots(section_of(typed(both), tmp_path), tmp_path)
    assert [path.name for path in written] == ["speed.png", "speed.svg", "jobs.png", "jobs.svg"]
    assert all(path.stat().st_size > 1000 for path in written)
    results["end_to_end"]["jobs"] = []
    assert [plot.name for plot in section(typed(results), tmp_path).plots] == ["speed"]
