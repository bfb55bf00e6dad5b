"""Order, bounds, faults and ends of the pipeline, with files and live sources; each test has a time limit."""

import threading
import time
import tracemalloc

import numpy as np
import pytest
from toy_jobs import ToyJob, first_channel, run

from depthcue.errors import DepthcueError
from depthcue.runtime.jobs import Prepared


class Bug(Exception):
    pass


@pytest.mark.parametrize(("batch_size", "streams", "renderers"), [(1, 1, 0), (3, 1, 1), (8, 2, 4), (2, 4, 0)])
def test_every_frame_is_written_once_and_in_sequence(batch_size, streams, renderers):
    jobs = [ToyJob(f"video {i}", count) for i, count in enumerate((1, 2, 50, 17))]
    jobs += [ToyJob(f"picture {i}", 1, sizes=((4 + i % 3, 4),), is_video=False) for i in range(40)]
    generator = np.random.default_rng(0)

    def infer(frames):
        time.sleep(generator.uniform(0, 0.002))  # streams overtake each other
        return first_channel(frames)

    outcomes = run(jobs, infer, batch_size=batch_size, streams=streams, readers=3, writers=3,
                   video_readers=2, renderers=renderers)
    for job in jobs:
        assert job.written == list(range(job.frames)) and job.ended == ["finished"] and job.closed
        assert outcomes[job.name].frames == job.frames and outcomes[job.name].complete
        assert outcomes[job.name].error is None and outcomes[job.name].seconds > 0


@pytest.mark.parametrize("streams", [1, 3])
def test_frames_of_one_job_stay_in_sequence_though_their_sizes_change(streams):
    job = ToyJob("mixed", 60, sizes=((4, 4), (4, 4), (8, 4), (2, 2)))
    run([job], batch_size=4, streams=streams)
    assert job.written == list(range(60))


def test_pictures_of_one_size_share_batches():
    sizes = []

    def infer(frames):
        sizes.append(len(frames))
        time.sleep(0.01)  # as long as the readers need to be ahead
        return first_channel(frames)

    run([ToyJob(str(i), 1, is_video=False) for i in range(64)], infer, batch_size=8, readers=2)
    assert sum(sizes) == 64 and max(sizes) == 8 and len(sizes) < 32


@pytest.mark.parametrize("error", [DepthcueError("cut off"), OSError(5, "input/output error")])
def test_an_unreadable_input_is_its_own_outcome_and_the_rest_goes_on(error):
    jobs = [ToyJob("a", 5), ToyJob("bad", 5, read_error=error, at=0), ToyJob("b", 5)]
    outcomes = run(jobs)
    assert outcomes["bad"].error is error and not outcomes["bad"].complete and jobs[1].ended == []
    assert [outcomes[name].error for name in "ab"] == [None, None]


def test_what_could_be_read_of_a_cut_off_input_is_kept():
    job = ToyJob("cut", 9, read_error=DepthcueError("ended early"), at=6)
    outcome = run([job])["cut"]
    assert job.written == list(range(6)) and job.ended == ["finished"]
    assert outcome.complete and outcome.frames == 6 and "ended early" in str(outcome.error)


@pytest.mark.parametrize("fault", ["write_error", "finish_error"])
def test_an_input_that_cannot_be_written_leaves_nothing_and_the_rest_goes_on(fault):
    full = DepthcueError("no space left on the disk")
    bad = ToyJob("bad", 300, at=3, **{fault: full})
    outcomes = run([ToyJob("a", 30), bad, ToyJob("b", 30)], batch_size=2)
    assert outcomes["bad"].error is full and not outcomes["bad"].complete and bad.ended == ["discarded"]
    assert outcomes["a"].complete and outcomes["b"].complete and bad.closed
    if fault == "write_error":
        assert bad.was_read < 100, "the rest of it need not have been read"


def test_an_input_without_frames_is_an_error():
    outcome = run([ToyJob("empty", 0)])["empty"]
    assert "no frames" in str(outcome.error) and not outcome.complete


@pytest.mark.parametrize("where", ["read_error", "write_error", "finish_error"])
def test_a_bug_in_a_job_stops_all_and_is_raised_with_its_traceback(where):
    jobs = [ToyJob("long", 100_000, delay=0.001), ToyJob("p", 1, is_video=False),
            ToyJob("bug", 50, is_video=False, at=None if where == "finish_error" else 7, **{where: Bug("here")})]
    with pytest.raises(Bug, match="here") as caught:
        run(jobs, batch_size=2)
    assert any("toy_jobs" in str(entry.path) for entry in caught.traceback)
    assert jobs[0].ended in ([], ["discarded"]) and jobs[0].closed


def test_a_failure_of_inference_stops_all_and_is_raised():
    jobs = [ToyJob(str(i), 100) for i in range(5)]

    def infer(frames):
        if frames[0, 0, 0, 0] > 40:
            raise RuntimeError("out of memory")
        return first_channel(frames)

    with pytest.raises(RuntimeError, match="out of memory"):
        run(jobs, infer)
    assert "finished" not in jobs[0].ended and all(job.closed for job in jobs if job.was_read)


@pytest.mark.parametrize("reason", [KeyboardInterrupt(), SystemExit(143)])
def test_an_interruption_keeps_what_is_finished_and_discards_the_rest(reason):
    jobs = [ToyJob("short", 3), ToyJob("endless", 10**9)]
    seen = []

    def poll(frames):
        seen.append(frames)
        if sum(seen) > 200:
            raise reason

    with pytest.raises(type(reason)):
        run(jobs, poll=poll)
    assert jobs[0].ended == ["finished"] and jobs[1].ended == ["discarded"] and jobs[1].closed


def test_it_polls_while_a_slow_reader_keeps_it_waiting():
    class Slow(ToyJob):
        def prepared(self):
            time.sleep(0.7)
            yield from super().prepared()

    calls = []
    run([Slow("slow", 1)], poll=calls.append)
    assert calls.count(0) >= 2


def test_streams_infer_at_the_same_time():
    met, both = threading.Event(), threading.Semaphore(0)

    def infer(frames):
        # the first waits for a second one to come while it is here; a small batch may be the last and alone
        if both.acquire(blocking=False):
            met.set()
        else:
            both.release()
            met.wait(5)
        return first_channel(frames)

    run([ToyJob("a", 8)], infer, batch_size=2, streams=2)
    assert met.is_set()


def test_memory_in_flight_is_bounded_in_bytes_and_one_large_frame_still_passes():
    """Readers run far ahead of a slow writer; the budget holds them back."""
    in_flight, most, lock = [0], [0], threading.Lock()

    class Weighed(ToyJob):
        def prepared(self):
            for _ in range(self.frames):
                with lock:
                    in_flight[0] += 1
                yield Prepared(np.zeros((4, 4, 3), np.uint8), 0, 1000)

        def write(self, frame, maps):
            time.sleep(0.002)
            with lock:
                most[0] = max(most[0], in_flight[0])
                in_flight[0] -= 1

    run([Weighed(str(i), 40, is_video=i > 2) for i in range(4)], batch_size=2, readers=3, memory_bytes=5000)
    # five in the budget, and one in the hands of each of four readers
    assert most[0] <= 9
    assert run([ToyJob("large", 3)], memory_bytes=10)["large"].complete


def test_memory_does_not_grow_with_the_length_of_a_video():
    class Heavy(ToyJob):
        def prepared(self):
            for _ in range(self.frames):
                yield Prepared(np.zeros((4, 4, 3), np.uint8), np.zeros(2**20, np.uint8), 2**20)

        def write(self, frame, maps):
            pass

    def peak(frames):
        tracemalloc.start()
        run([Heavy("heavy", frames)], memory_bytes=8 * 2**20)
        return tracemalloc.get_traced_memory()[1], tracemalloc.stop()

    # eight in the budget and a few in the hands of threads; all of them would be 400
    assert peak(400)[0] < 20 * 2**20


def test_stages_overlap():
    """The job takes little more than its longest stage, and far less than all of them together."""
    slept = []

    def sleep(seconds):
        start = time.perf_counter()
        time.sleep(seconds)
        slept.append(time.perf_counter() - start)  # on a busy machine longer than asked for

    class Slow(ToyJob):
        def prepared(self):
            for frame in super().prepared():
                sleep(0.003)
                yield frame

        def write(self, frame, maps):
            sleep(0.003)

    def infer(frames):
        sleep(0.003 * len(frames))
        return first_channel(frames)

    start = time.perf_counter()
    run([Slow("slow", 100)], infer, batch_size=4)
    assert time.perf_counter() - start < 0.7 * sum(slept)


def test_renderers_work_at_the_same_time_and_the_sequence_stays():
    most, now, lock = [0], [0], threading.Lock()

    class Rendered(ToyJob):
        def render(self, frame, maps):
            with lock:
                now[0] += 1
                most[0] = max(most[0], now[0])
            time.sleep(0.001 * (frame.kept % 5))  # they overtake each other
            with lock:
                now[0] -= 1
            return maps

    jobs = [Rendered(f"video {i}", 60) for i in range(3)]
    outcomes = run(jobs, batch_size=4, video_readers=2, writers=2, renderers=3)
    for job in jobs:
        assert job.written == list(range(60)) and job.ended == ["finished"] and outcomes[job.name].complete
    assert 3 <= most[0] <= 5, "three renderers and two writers"


def test_renderers_do_not_run_far_ahead_of_a_slow_writer():
    rendered, ahead = [0], []

    class Rendered(ToyJob):
        def render(self, frame, maps):
            rendered[0] += 1
            return maps

        def write(self, frame, maps):
            time.sleep(0.003)
            ahead.append(rendered[0] - len(self.written))
            super().write(frame, maps)

    run([Rendered("video", 80)], batch_size=16, writers=1, renderers=2)
    assert max(ahead) <= 2 * 2 + 1


@pytest.mark.parametrize("renderers", [0, 2])
def test_what_cannot_be_rendered_ends_its_job_and_the_rest_goes_on(renderers):
    class Bad(ToyJob):
        def render(self, frame, maps):
            if frame.kept == 7:
                raise DepthcueError("too large")
            return maps

    bad, good = Bad("bad", 300), ToyJob("good", 30)
    outcomes = run([bad, good], batch_size=2, renderers=renderers)
    assert "too large" in str(outcomes["bad"].error) and bad.written == list(range(7)) and bad.ended == ["discarded"]
    assert outcomes["good"].complete


def test_a_bug_in_rendering_stops_all_and_is_raised():
    class Buggy(ToyJob):
        def render(self, frame, maps):
            raise Bug("here")

    with pytest.raises(Bug, match="here"):
        run([Buggy("bug", 50), ToyJob("long", 100_000)], renderers=2)


def test_nothing_to_do_is_done():
    assert run([]) == {}


class Late(ToyJob):
    """A picture that takes its own time to be read."""

    def __init__(self, name, seconds, **options):
        super().__init__(name, 1, is_video=False, **options)
        self.number, self.seconds = int(name), seconds

    def prepared(self):
        time.sleep(self.seconds)
        for frame in super().prepared():
            yield Prepared(np.full_like(frame.small, self.number % 251), 0, 100)

    def write(self, frame, maps):
        self.written.append(maps[0].copy())


def batches(seed, fill=False, failing=(), **options):
    """The batches, as sets of pictures' numbers and a length, of pictures in sizes that vary and a video."""
    generator, seen = np.random.default_rng(seed), []

    def infer(frames):
        time.sleep(generator.uniform(0, 0.001))
        seen.append(tuple(frames[:, 0, 0, 0].tolist()) + frames.shape)
        return first_channel(frames)

    jobs = [Late(str(i), generator.uniform(0, 0.004), sizes=((4 + (i % 7 == 0) + (i == 11), 4),),
                 read_error=DepthcueError("cut") if i in failing else None, at=0) for i in range(60)]
    jobs.insert(30, ToyJob("200", 13, sizes=((4, 4), (4, 4), (4, 4), (8, 4))))
    outcomes = run(iter(jobs), infer, readers=4, fill=fill, **{"batch_size": 3, "streams": 2, **options})
    assert len(outcomes) == 61 and all(outcome.complete for name, outcome in outcomes.items()
                                       if int(name) not in failing)
    assert all((job.written[0] == job.number).all() for job in jobs if job.name != "200" and job.number not in failing)
    return sorted(seen)


@pytest.mark.parametrize("options", [{}, {"failing": (5, 6, 20)}, {"memory_bytes": 900}, {"memory_bytes": 90}])
def test_which_frames_share_a_batch_does_not_depend_on_time(options):
    first = batches(0, **options)
    assert any(len(each) - 4 == 3 for each in first) or "memory_bytes" in options
    assert all(batches(seed, **options) == first for seed in range(1, 6))


def test_batches_of_pictures_are_filled_up_and_those_of_videos_are_not():
    seen = batches(0, fill=True)
    pictures = [each for each in seen if not set(each[:-4]) <= set(range(13)) or each[-4] == 3]
    assert len(pictures) > 20 and all(each[-4] == 3 for each in pictures)
    assert any(each[-4] < 3 for each in seen)  # the video's, whose size changes


def test_a_picture_of_a_rare_size_does_not_wait_for_the_end():
    ended = []
    jobs = [Late(str(i), 0, sizes=((9 if i == 0 else 4, 4),)) for i in range(200)]
    for job in jobs:
        job.finish = lambda job=job: ended.append(job.number)
    run(jobs, batch_size=2, writers=1)
    assert ended.index(0) < 40


def test_a_picture_does_not_wait_for_a_long_video():
    picture, video = Late("0", 0), ToyJob("video", 3000, delay=0.0005)
    picture.finish = lambda: picture.ended.append(len(video.written))
    run([video, picture], batch_size=4, writers=2)
    assert picture.ended[0] < 1500


def test_jobs_are_drawn_as_they_are_needed():
    drawn, written = [0], [0]

    def jobs():
        for number in range(400):
            drawn[0] += 1
            job = ToyJob(str(number), 1, is_video=number % 100 == 99)

            def write(frame, maps):
                written[0] += 1
                assert drawn[0] - written[0] < 100
                time.sleep(0.0005)

            job.write = write
            yield job

    assert len(run(jobs(), batch_size=2)) == 400


def test_more_videos_than_wait_for_a_reader_and_more_pictures():
    jobs = [ToyJob(f"video {i}", 2) for i in range(100)] + [ToyJob(f"picture {i}", 1, is_video=False)
                                                           for i in range(100)]
    assert len(run(jobs)) == len(run(jobs[::-1])) == 200


def test_what_drawing_jobs_raises_stops_all_and_is_raised():
    def jobs():
        yield ToyJob("endless", 10**9)
        raise Bug("listing")

    with pytest.raises(Bug, match="listing"):
        run(jobs())


class LiveToy(ToyJob):
    """A clock: each frame carries the moment it was asked for."""

    def __init__(self, name, frames, **options):
        super().__init__(name, frames, **options)
        self.is_live = True
        self.ages, self.most_at_once, self.under_way = [], 0, 0
        self.lock = threading.Lock()

    def prepared(self):
        for number in range(self.frames):
            with self.lock:
                self.under_way += 1
                self.most_at_once = max(self.most_at_once, self.under_way)
            yield Prepared(np.full((4, 4, 3), number % 251, np.uint8), (number, time.monotonic()), 100)

    def write(self, frame, maps):
        number, asked = frame.kept
        assert (maps[0] == number % 251).all()
        time.sleep(self.delay)
        self.written.append(number)
        self.ages.append(time.monotonic() - asked)
        with self.lock:
            self.under_way -= 1


def slowly(seconds):
    def infer(frames):
        time.sleep(seconds)
        return first_channel(frames)
    return infer


def test_no_frame_waits_behind_others():
    """The source could give any number at once; a frame's age is its own inference and writing."""
    job = LiveToy("camera", 40)
    run([job], slowly(0.01), batch_size=1, readers=1, writers=1)
    assert job.written == list(range(40)) and job.ended == ["finished"]
    assert np.median(job.ages) < 0.025, "one frame takes 0.01 s"
    assert job.most_at_once <= 2, "one inferred, one written"


def test_a_slow_writer_lets_two_frames_wait_at_most():
    job = LiveToy("camera", 20, delay=0.02)
    run([job], batch_size=1, writers=1)
    assert job.written == list(range(20)) and job.most_at_once <= 3 and np.median(job.ages) < 0.06


def test_inferring_and_writing_overlap():
    slept = []

    def sleep(seconds):
        start = time.perf_counter()
        time.sleep(seconds)
        slept.append(time.perf_counter() - start)  # on a busy machine longer than asked for

    def infer(frames):
        sleep(0.01)
        return first_channel(frames)

    job = LiveToy("camera", 40)
    job.write = lambda frame, maps: sleep(0.01)
    start = time.perf_counter()
    run([job], infer, batch_size=1, writers=1)
    assert time.perf_counter() - start < 0.8 * sum(slept)


def test_several_cameras_share_batches_and_none_waits_for_another():
    sizes = []

    def infer(frames):
        sizes.append(len(frames))
        time.sleep(0.005)
        return first_channel(frames)

    quick, slow = LiveToy("quick", 60), LiveToy("slow", 5, delay=0.05)
    run([quick, slow, LiveToy("third", 60)], infer, batch_size=3, writers=3)
    assert len(quick.written) == 60 and len(slow.written) == 5 and max(sizes) > 1
    assert np.median(quick.ages) < 0.03


def test_a_live_job_whose_results_cannot_be_written_ends_and_the_others_go_on():
    full = OSError(28, "no space")
    bad, good = LiveToy("bad", 10**9), LiveToy("good", 30)
    bad.write = lambda frame, maps: (_ for _ in ()).throw(full)
    outcomes = run([bad, good], batch_size=2)
    assert outcomes["bad"].error is full and bad.ended == ["discarded"] and bad.closed
    assert outcomes["good"].complete
