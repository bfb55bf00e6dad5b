"""Reading, inference and writing at the same time, in bounded memory, without ever hanging.

Reader threads draw jobs, open them and decode their frames; the calling thread gathers frames of one size into
batches; streams infer them; writer threads write each job's results in sequence, helped by renderers, which render
frames further back. Jobs are drawn as they are needed, and the queues between the stages are bounded in number and in
bytes, so memory does not grow with the length of a video or the number of pictures.

Which frames share a batch depends on the jobs alone, not on which thread was faster, because nets round differently in
batches of different sizes: pictures are gathered in the sequence of their jobs, a video's frames among themselves. A
batch that does not fill goes when the video ends, or its first picture is PATIENCE batches old, or the waiting frames
fill a share of the memory; batches of pictures are then filled up, so that a picture's mask does not depend on which
others there are. Pictures of several sizes are batched size by size, not padded to a common one: a border of padding
would change the net's output near it.

Live jobs need little delay instead of full batches: each has a reader of its own, the next frame is read when the last
has come to its writer, so that no frame grows old in a queue, and batches do not wait.

An error of one job (`DepthcueError`, `OSError`) ends that job and is its outcome; the others go on. Any other error, in
any thread, stops everything and is raised to the caller with its own traceback. All threads share one lock, and every
wait ends when the pipeline stops, so a failure on one side cannot leave the other side waiting.
"""

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from depthcue.errors import DepthcueError
from depthcue.runtime.jobs import (
    Arrival,
    Batch,
    Infer,
    Inferred,
    Job,
    JobSink,
    Outcome,
    Prepared,
    Queue,
    Stopped,
    Ticket,
)

POLL_S = 0.2
"""Longest wait of the calling thread between two calls of `poll`."""
PATIENCE = 8
"""Number of batches of pictures after which a picture of a rare size goes in a batch of its own."""
DRAWN = 32
"""Number of jobs of one kind that may wait for a reader when one of the other kind is wanted."""
PICTURES, LIVE = "pictures", "live"
"""Lanes."""


class Pipeline:
    """Runs jobs once; see `run`."""

    def __init__(self, infer: Infer, *, batch_size: int = 4, streams: int = 1, readers: int = 2, video_readers: int = 1,
                 writers: int = 2, renderers: int = 0, memory_bytes: int = 256 * 2**20, fill: bool = False) -> None:
        """
        Args:
            streams: threads that call `infer`, at the same time.
            readers: threads that read pictures.
            video_readers: threads that read videos, each one video after the other; every live job has one more.
            writers: threads that write; a job has one of them for all its frames.
            renderers: threads that render ahead of the writers, twice as many frames as they are. They pay where there
                are more cores than inference, reading and writing keep busy.
            memory_bytes: about the most memory for frames that are read and not written yet; a larger frame passes
                alone.
            fill: whether batches of pictures that are not full are filled up with copies of their last.
        """
        self._infer = infer
        self._batch_size = batch_size
        self._memory_bytes = memory_bytes
        self._readers = readers
        self._video_readers = video_readers
        # one lock for everything, so that no two locks can block each other
        self._lock = threading.RLock()
        # what the calling thread waits for: a frame, a batch inferred, a job ended
        self._news = threading.Condition(self._lock)
        self._memory_given = threading.Condition(self._lock)
        # a live job's frame has come to its writer
        self._arrived = threading.Condition(self._lock)
        self._stopping = False
        self._failure: BaseException | None = None
        self._fill = fill
        self._held_bytes = 0
        # the part of the held bytes in frames that wait for their batch, and the part in frames read before their turn
        self._gathered_bytes = 0
        self._early_bytes = 0
        self._frames = Queue(self._lock, 2 * batch_size + readers + video_readers, filled=self._news)
        self._results = [Queue(self._lock, 2 * batch_size) for _ in range(writers)]
        self._outcomes = Queue(self._lock, producers=writers, filled=self._news)
        # frames waiting for their batch, by lane and size; oldest first
        self._gathering: dict[tuple[Any, tuple[int, ...]], list[tuple[Ticket, Arrival]]] = {}
        # position of the picture whose turn it is to join a batch, and the number of pictures drawn
        self._turn = 0
        self._turned = threading.Condition(self._lock)
        self._pictures = 0
        # pictures before their turn, by position: what has been read of them, and those that are being read
        self._early: dict[int, list[tuple[Ticket, Arrival]]] = {}
        self._reading: dict[int, Ticket] = {}
        # most positions that a picture may be read ahead of its turn
        self._ahead_limit = 4 * (batch_size + readers)
        # most bytes that wait in a lane before its batch goes; half of the memory is left for frames on their way
        self._lane_bytes = memory_bytes // (2 * (1 + video_readers))
        # jobs are drawn by one thread at a time, and wait by kind
        self._drawing = threading.Lock()
        self._drawn: dict[bool, deque[Ticket]] = {False: deque(), True: deque()}
        self._all_drawn = False
        self._count = 0
        self._renderings = Queue(self._lock)
        self._renderers = renderers
        # frames that renderers have taken and writers have not
        self._ahead = 0
        self._streams = streams
        self._batches = Queue(self._lock)
        # dispatched and not passed on yet, in order
        self._dispatched: deque[Batch] = deque()

    def run(self, jobs: Iterable[Job], done: Callable[[Outcome], None],
            poll: Callable[[int], None] = lambda frames: None) -> None:
        """Run all jobs to their end.

        Args:
            jobs: drawn as they are needed, by threads of the pipeline, one at a time. Live ones are drawn all at once,
                and are not to be mixed with others.
            done: called in the calling thread with each job's outcome, as jobs end.
            poll: called in the calling thread after each batch, and several times a second while it waits, with the
                number of frames inferred since the last call; what it raises stops the pipeline.

        Raises:
            Exception: what `infer`, `done`, `poll` or `jobs` raise, and a bug in a job. Then every sink that was
                open has been discarded; jobs that had ended were passed to `done`.
        """
        self._jobs = iter(jobs)
        first = next(self._jobs, None)
        if first is None:
            return
        if first.is_live:
            tickets = [self._ticket(job) for job in (first, *self._jobs)]
            threads = [self._thread(self._read_one, ticket) for ticket in tickets]
        else:
            self._take_in(first)
            threads = [self._thread(self._read_all, False) for _ in range(self._readers)]
            threads += [self._thread(self._read_all, True) for _ in range(self._video_readers)]
        self._frames.producers = len(threads)
        threads += [self._thread(self._infer_all, self._batches) for _ in range(self._streams)]
        threads += [self._thread(self._render_all, self._renderings) for _ in range(self._renderers)]
        threads += [self._thread(self._write_all, queue) for queue in self._results]
        try:
            for thread in threads:
                thread.start()
            self._conduct(done, poll)
        except Stopped:
            pass  # the thread that stopped it has left the reason
        except BaseException as error:
            self._stop(error)
        finally:
            self._stop(None)
            for thread in threads:
                if thread.ident is not None:
                    thread.join()
        self._report_ended(done)
        if self._failure is not None:
            raise self._failure

    # --- reading

    def _ticket(self, job: Job) -> Ticket:
        number, self._count = self._count, self._count + 1
        ticket = Ticket(job, Outcome(job), number % len(self._results), LIVE if job.is_live else PICTURES)
        if job.is_video and not job.is_live:
            ticket.lane = ticket
        elif not job.is_live:
            ticket.position, self._pictures = self._pictures, self._pictures + 1
        return ticket

    def _take_in(self, job: Job) -> None:
        self._drawn[job.is_video].append(self._ticket(job))

    def _draw(self, video: bool) -> Ticket | None:
        """The next job of a kind, or None; draws from the caller's jobs until it has one."""
        mine, others = self._drawn[video], self._drawn[not video]
        while True:
            with self._lock:
                # without this limit, memory would grow with the number of jobs of the other kind that come before
                self._wait(self._turned, lambda: bool(mine) or self._all_drawn or len(others) < DRAWN)
                if mine or self._all_drawn:
                    self._turned.notify_all()
                    return mine.popleft() if mine else None
            with self._drawing:
                if mine or self._all_drawn or len(others) >= DRAWN:
                    continue
                job = next(self._jobs, None)
                with self._lock:
                    if job is None:
                        self._all_drawn = True
                        self._news.notify_all()
                    else:
                        self._take_in(job)
                    self._turned.notify_all()

    def _read_all(self, video: bool) -> None:
        while (ticket := self._draw(video)) is not None:
            if ticket.position is not None:
                with self._lock:
                    limit = ticket.position - self._ahead_limit
                    self._wait(self._turned, lambda limit=limit: limit <= self._turn)  # type: ignore[misc]
                    if self._is_early(ticket):
                        self._reading[ticket.position] = ticket
            self._read(ticket)
        self._leave(self._frames)

    def _read_one(self, ticket: Ticket) -> None:
        self._read(ticket)
        self._leave(self._frames)

    def _read(self, ticket: Ticket) -> None:
        ticket.started = time.perf_counter()
        error: DepthcueError | OSError | None = None
        try:
            with ticket.job.read() as frames:
                for frame in self._newest(ticket, frames) if ticket.job.is_live else frames:
                    if ticket.abandoned:
                        break
                    self._take_memory(ticket, frame.nbytes)
                    self._put(self._frames, (ticket, frame))
        except (DepthcueError, OSError) as reason:
            error = reason
        except MemoryError:
            error = DepthcueError("there is not enough memory to read it", "Scale it down first.")
        self._put(self._frames, (ticket, error))

    def _newest(self, ticket: Ticket, frames: Iterable[Prepared]) -> Iterator[Prepared]:
        """The frames of a live job, each read when the one before has come to its writer."""
        waiting = iter(frames)
        while True:
            with self._lock:
                self._wait(self._arrived, lambda: not ticket.in_transit)
            frame = next(waiting, None)
            if frame is None:
                return
            ticket.in_transit = True
            yield frame

    def _take_memory(self, ticket: Ticket, nbytes: int) -> None:
        with self._lock:
            self._wait(self._memory_given, lambda: self._may_hold(ticket, nbytes))
            self._held_bytes += nbytes
            if self._is_early(ticket):
                self._early_bytes += nbytes
                ticket.early_bytes += nbytes

    def _is_early(self, ticket: Ticket) -> bool:
        return ticket.position is not None and ticket.position > self._turn

    def _may_hold(self, ticket: Ticket, nbytes: int) -> bool:
        fits = self._held_bytes + nbytes <= self._memory_bytes
        if self._is_early(ticket):
            return fits and self._early_bytes + nbytes <= self._memory_bytes // 2
        # a frame that others wait for passes also where all that is held waits for it, or for its batch
        return fits or self._held_bytes == self._gathered_bytes + self._early_bytes

    def _give_memory(self, nbytes: int) -> None:
        with self._lock:
            self._held_bytes -= nbytes
            self._memory_given.notify_all()

    # --- inferring: the calling thread gathers and passes on, streams compute

    def _conduct(self, done: Callable[[Outcome], None], poll: Callable[[int], None]) -> None:
        while self._step(poll):
            self._report_ended(done)
        for queue in (self._batches, self._renderings, *self._results):
            self._leave(queue)
        while self._outcomes.producers:
            with self._lock:
                self._wait(self._news, lambda: not self._outcomes.producers, POLL_S)
            poll(0)
            self._report_ended(done)

    def _step(self, poll: Callable[[int], None]) -> bool:
        """Do one piece of work that is due, or wait for one; False when nothing is left to do."""
        with self._lock:
            if not self._something_to_do():
                self._wait(self._news, self._something_to_do, POLL_S)
            batch = self._dispatched.popleft() if self._has_inferred() else None
            arrival = self._frames.take() if batch is None and self._can_take() else None
            finished = self._is_finished()
        if batch is not None:
            self._pass_on(batch)
            poll(batch.frames)
        elif arrival is not None:
            self._gather(*arrival)
        elif self._is_idle():
            self._dispatch(next(key for key in self._gathering if key[0] is LIVE))
        elif self._is_last():
            self._dispatch(next(key for key in self._gathering if key[0] is PICTURES))
        else:
            poll(0)
            return not finished
        return True

    def _something_to_do(self) -> bool:
        return self._has_inferred() or self._can_take() or self._is_idle() or self._is_last() or self._is_finished()

    def _has_inferred(self) -> bool:
        return bool(self._dispatched) and self._dispatched[0].outputs is not None

    def _can_take(self) -> bool:
        """A frame is there, and room for one batch more than streams compute, so that no stream waits for its next."""
        return bool(self._frames.items) and len(self._dispatched) <= self._streams

    def _is_idle(self) -> bool:
        """A stream has nothing to do though live frames wait for their batch to fill."""
        return (not self._frames.items and len(self._dispatched) < self._streams
                and any(lane is LIVE for lane, _ in self._gathering))

    def _is_last(self) -> bool:
        """Pictures wait for their batch to fill, and none will come any more."""
        return (self._all_drawn and self._turn == self._pictures
                and any(lane is PICTURES for lane, _ in self._gathering))

    def _is_finished(self) -> bool:
        return not (self._frames.producers or self._frames.items or self._gathering or self._dispatched)

    def _gather(self, ticket: Ticket, item: Arrival) -> None:
        """Let a frame, or a job's end, join its batch, and pictures in their turn."""
        if ticket.position is None:
            self._join(ticket, item)
            return
        self._early.setdefault(ticket.position, []).append((ticket, item))
        while self._turn in self._early:
            for owner, arrival in self._early.pop(self._turn):
                self._join(owner, arrival)
                if not isinstance(arrival, Prepared):
                    self._next_turn()

    def _next_turn(self) -> None:
        with self._lock:
            self._turn += 1
            if (ticket := self._reading.pop(self._turn, None)) is not None:
                self._early_bytes -= ticket.early_bytes
            self._turned.notify_all()
            self._memory_given.notify_all()
        old = self._turn - PATIENCE * self._batch_size
        for key, waiting in [*self._gathering.items()]:
            first = waiting[0][0].position
            if first is not None and first < old:
                self._dispatch(key)

    def _join(self, ticket: Ticket, item: Arrival) -> None:
        """Add a frame, or a job's end, to what waits for its batch."""
        own = [key for key, waiting in self._gathering.items() if any(owner is ticket for owner, _ in waiting)]
        if not isinstance(item, Prepared):
            # behind the job's last frame, wherever that is
            behind = [self._gathering[key] for key in own] or [
                batch.waiting for batch in self._dispatched if any(owner is ticket for owner, _ in batch.waiting)]
            if behind:
                behind[-1].append((ticket, item))
            else:
                self._hand_over(Inferred(ticket, item, ()))
            for key in own:
                if ticket.lane is ticket:  # nothing more comes to it
                    self._dispatch(key)
            return
        key = ticket.lane, item.small.shape
        for other in own:
            if other != key:
                self._dispatch(other)  # what this job has waiting in another size must go first, to stay in order
        waiting = self._gathering.setdefault(key, [])
        waiting.append((ticket, item))
        with self._lock:
            self._gathered_bytes += item.nbytes
            self._memory_given.notify_all()
        if _count(waiting) == self._batch_size:
            self._dispatch(key)
        elif _nbytes(each for (lane, _), some in self._gathering.items() if lane is ticket.lane
                     for each in some) > self._lane_bytes:
            for some in [each for each in self._gathering if each[0] is ticket.lane]:
                self._dispatch(some)

    def _dispatch(self, key: tuple[Any, tuple[int, ...]]) -> None:
        batch = Batch(self._gathering.pop(key))
        with self._lock:
            self._gathered_bytes -= _nbytes(batch.waiting)
            self._dispatched.append(batch)
            self._batches.put(batch)

    def _infer_all(self, queue: Queue) -> None:
        while True:
            with self._lock:
                self._wait(queue.filled, lambda: bool(queue.items) or not queue.producers)
                if not queue.items:
                    return
                batch: Batch = queue.take()
            frames = np.stack([item.small for _, item in batch.waiting if isinstance(item, Prepared)])
            jobs = [ticket.job for ticket, item in batch.waiting if isinstance(item, Prepared)]
            count = len(frames)
            if self._fill and batch.waiting[0][0].lane is PICTURES and count < self._batch_size:
                frames = np.concatenate([frames, np.repeat(frames[-1:], self._batch_size - count, axis=0)])
            outputs = [maps[:count] for maps in self._infer(frames, jobs)]
            with self._lock:
                batch.frames, batch.outputs = count, outputs
                self._news.notify()
            del batch, frames, outputs  # not to hold them while waiting for more

    def _pass_on(self, batch: Batch) -> None:
        assert batch.outputs is not None
        results = zip(*batch.outputs, strict=True)
        for ticket, item in batch.waiting:
            self._hand_over(Inferred(ticket, item, next(results) if isinstance(item, Prepared) else ()))

    def _hand_over(self, result: Inferred) -> None:
        self._put(self._results[result.ticket.writer], result)
        if self._renderers and isinstance(result.item, Prepared):
            self._put(self._renderings, result)

    def _report_ended(self, done: Callable[[Outcome], None]) -> None:
        while self._outcomes.items:
            done(self._outcomes.items.popleft())

    # --- rendering ahead, and writing

    def _render_all(self, queue: Queue) -> None:
        while True:
            with self._lock:
                self._wait(queue.filled, lambda: not queue.producers or (
                    bool(queue.items) and self._ahead < 2 * self._renderers))
                if not queue.items or not queue.producers:
                    return  # at the very end, writers need no help with the few that are left
                result: Inferred = queue.take()
                if result.taken:  # its writer was quicker
                    continue
                result.taken = True
                self._ahead += 1
            result.render()
            with self._lock:
                result.ready = True
                self._results[result.ticket.writer].filled.notify()
            del result  # not to hold it while waiting for more

    def _write_all(self, queue: Queue) -> None:
        sinks: dict[Ticket, JobSink] = {}
        try:
            while True:
                with self._lock:
                    self._wait(queue.filled, lambda: not queue.producers if not queue.items else
                               queue.items[0].ready or not queue.items[0].taken)
                    if not queue.items:
                        break
                    result: Inferred = queue.take()
                    self._take_over(result)
                if isinstance(result.item, Prepared):
                    try:
                        self._write(result, result.item, sinks)
                    finally:
                        self._give_memory(result.item.nbytes)
                else:
                    self._end(result.ticket, result.item, sinks)
                del result  # not to hold it while waiting for more
        finally:
            for sink in sinks.values():
                sink.discard()
        self._leave(self._outcomes)

    def _take_over(self, result: Inferred) -> None:
        """Take a result over from the renderers or from a live job; called with the lock held."""
        if result.ready:
            self._ahead -= 1
            self._renderings.filled.notify()
        result.taken = True
        if result.ticket.in_transit:
            result.ticket.in_transit = False
            self._arrived.notify_all()

    def _write(self, result: Inferred, frame: Prepared, sinks: dict[Ticket, JobSink]) -> None:
        ticket = result.ticket
        if ticket.abandoned:
            return
        try:
            if not result.ready:
                result.render()
            if result.error is not None:
                raise result.error
            if ticket not in sinks:
                sinks[ticket] = ticket.job.open_sink()
            sinks[ticket].write(frame, result.rendered)
            ticket.outcome.frames += 1
        except (DepthcueError, OSError) as error:
            self._abandon(ticket, error, sinks)

    def _end(self, ticket: Ticket, error: DepthcueError | OSError | None, sinks: dict[Ticket, JobSink]) -> None:
        outcome = ticket.outcome
        if not ticket.abandoned:
            outcome.error = error
            sink = sinks.get(ticket)
            if sink is not None:
                try:
                    sink.finish()
                    outcome.complete = True
                    del sinks[ticket]
                except (DepthcueError, OSError) as reason:
                    self._abandon(ticket, reason, sinks)
            elif error is None:
                outcome.error = DepthcueError("it holds no frames", "It is empty or damaged.")
        outcome.seconds = time.perf_counter() - ticket.started
        with self._lock:
            self._outcomes.put(outcome)

    def _abandon(self, ticket: Ticket, error: DepthcueError | OSError, sinks: dict[Ticket, JobSink]) -> None:
        ticket.abandoned = True
        ticket.outcome.error = error
        sink = sinks.pop(ticket, None)
        if sink is not None:
            sink.discard()

    # --- threads and waiting

    def _thread(self, body: Callable[[Any], None], argument: Any) -> threading.Thread:
        def guarded() -> None:
            try:
                body(argument)
            except Stopped:
                pass
            except BaseException as error:  # a bug: raised again in the calling thread
                self._stop(error)

        return threading.Thread(target=guarded, name=f"depthcue-{body.__name__.strip('_')}", daemon=True)

    def _stop(self, failure: BaseException | None) -> None:
        with self._lock:
            self._stopping = True
            self._failure = self._failure or failure
            queues = [self._frames, self._batches, self._renderings, self._outcomes, *self._results]
            for condition in {self._memory_given, self._arrived, self._turned, *(each.filled for each in queues),
                              *(each.emptied for each in queues)}:
                condition.notify_all()

    def _put(self, queue: Queue, item: Any) -> None:
        with self._lock:
            self._wait(queue.emptied, lambda: queue.capacity is None or len(queue.items) < queue.capacity)
            queue.put(item)

    def _leave(self, queue: Queue) -> None:
        with self._lock:
            queue.leave()

    def _wait(self, news: threading.Condition, ready: Callable[[], bool], at_most_s: float | None = None) -> None:
        """Wait, holding the lock, for `news` that make `ready` true; raise if the pipeline stops."""
        # never without a limit: on some platforms a wait without one cannot be interrupted from the keyboard
        end = time.monotonic() + at_most_s if at_most_s is not None else None
        while not self._stopping and not ready():
            left = 1.0 if end is None else end - time.monotonic()
            if left <= 0:
                return
            news.wait(left)
        if self._stopping:
            raise Stopped


def _count(waiting: Iterable[tuple[Ticket, Arrival]]) -> int:
    return sum(isinstance(item, Prepared) for _, item in waiting)


def _nbytes(waiting: Iterable[tuple[Ticket, Arrival]]) -> int:
    return sum(item.nbytes for _, item in waiting if isinstance(item, Prepared))
