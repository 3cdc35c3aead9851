"""Starts of the real command that are killed or signalled at chosen moments, and what must be equal afterwards."""

import atexit
import ctypes
import datetime
import json
import multiprocessing
import os
import resource
import signal
import socket
import sys
import threading
import time
from typing import NamedTuple

import torch
import yaml
from lightning.pytorch.utilities import rank_zero_only

ROWS = {"train": 61, "validation": 6, "test": 9}
BATCHES = 8
"""Batches in an epoch of one process; two have half of them."""

STEPS = "run.checkpoint_every_steps"
FIT = ("fit", "--config", "mine.yaml", "--resume")

# imports take seconds and a start after them a fraction of one: the server imports once, every start is forked from it
starts = multiprocessing.get_context("forkserver")
PRELOAD = """transferlab.cli.train transferlab.strategies transferlab.adapters datasets pandas peft sklearn.metrics
transformers.models.bert.modeling_bert transformers.optimization transformers.trainer_utils kills"""
starts.set_forkserver_preload(PRELOAD.split())


LORA = {"method": {"class_path": "transferlab.adapters.LoRA", "init_args": {"r": 2, "dropout": 0.2}}}
ADALORA = {"method": {"class_path": "transferlab.adapters.AdaLoRA", "init_args": {"r": 3, "target_r": 1, "delta_t": 2}}}
BOTTLENECK = {"method": {"class_path": "transferlab.adapters.Bottleneck"}}
WORKERS = "data.init_args.num_workers"
TWO = {"trainer.devices": 2, "trainer.strategy": "ddp"}
SHARDED = {
    "trainer.devices": 2,
    "trainer.strategy": {"class_path": "transferlab.training.parallel.Sharded", "init_args": {"timeout": "1:00:00"}},
    "trainer.inference_mode": False,
    "trainer.gradient_clip_val": 1.0,
}
TEACHER = "runs/teacher"
ADAPTERS = ("runs/adapter_1", "runs/adapter_2")
FUSION = {"method": {"class_path": "transferlab.adapters.Fusion", "init_args": {"runs": [*ADAPTERS]}}}
BEFORE = {TEACHER: ("FullFineTuning", {}), **dict.fromkeys(ADAPTERS, ("ParameterEfficient", BOTTLENECK))}
"""Runs that others name in their arguments: strategy and arguments of each."""
QUESTIONS = {
    "data.init_args.source": {"kind": "qa", "files": {split: f"questions-{split}.jsonl" for split in ROWS}},
    "data.init_args.max_length": 40,
    "data.init_args.stride": 8,
    "data.init_args.negative_windows": 1,
}
"""Of an experiment on questions, a third of them without an answer, some on contexts of several windows."""

TEXTS = {
    "encoder": {"name": "embedded/t5", "architecture": "random"},
    "data.init_args.source": {"kind": "text", "files": {split: f"texts-{split}.jsonl" for split in ROWS}},
    "data.init_args.generation": {"eval_rows": 4},
}
"""Of an experiment on texts, written by an encoder-decoder of characters."""


class Case(NamedTuple):
    """A kind of run and the places where it is killed, one after the other.

    Attributes:
        strategy: Class in `transferlab.strategies`.
        arguments: Its arguments.
        options: What else differs, under dotted keys.
        batches: Numbers of the batches that are killed as they begin.
        ranks: Processes.
    """

    strategy: str
    arguments: dict[str, object]
    options: dict[str, object]
    batches: tuple[int, ...]
    ranks: int = 1


ALL = (1, 3, 5, 6, 7, 8, 9, 11, 13, 15)
"""Both sides of the end of the first epoch, and the last batch of the run."""
SOME = (2, 7, 8, 15)
ALL_OF_TWO = (1, 2, 3, 4, 5, 6, 7, 8, 9, 11)
CASES = {
    "full": Case("FullFineTuning", {}, {STEPS: 2}, ALL),
    "full, 2 workers": Case("FullFineTuning", {}, {STEPS: 3, WORKERS: 2}, ALL),
    "full, 2 processes": Case("FullFineTuning", {}, {STEPS: 1, "trainer.max_epochs": 3, **TWO}, ALL_OF_TWO, 2),
    "full, 2 processes, 2 workers": Case(
        "FullFineTuning", {}, {STEPS: 2, "trainer.max_epochs": 3, WORKERS: 2, **TWO}, ALL_OF_TWO, 2
    ),
    "lora, accumulation, two validations": Case(
        "ParameterEfficient",
        LORA,
        {"trainer.accumulate_grad_batches": 2, "trainer.val_check_interval": 0.5},
        (3, 8, 12),
    ),
    "lora": Case("ParameterEfficient", LORA, {STEPS: 1}, SOME),
    "adapter": Case("ParameterEfficient", BOTTLENECK, {STEPS: 1}, SOME),
    "fusion": Case("ParameterEfficient", FUSION, {STEPS: 1}, SOME),
    "adalora": Case("ParameterEfficient", ADALORA, {STEPS: 1}, SOME),
    "gradual unfreezing": Case(
        "FullFineTuning", {"unfreeze_at": [3, 9, 11], "unfreeze_schedule": "layer"}, {STEPS: 1}, SOME
    ),
    "frozen, kept features": Case("FeatureExtraction", {}, {STEPS: 1}, SOME),
    "pairs apart": Case(
        "FullFineTuning", {}, {STEPS: 2, "data.init_args.task": "demo_pairs", "data.init_args.pairs": "apart"}, SOME
    ),
    "a head that starts solved": Case(
        "FullFineTuning", {"head": {"start": "solved"}, "steady": {"ema": 0.9}}, {STEPS: 1}, SOME
    ),
    "frozen layers, kept states": Case("FullFineTuning", {"top_layers": 1}, {STEPS: 2}, SOME),
    "distillation": Case("Distillation", {"teacher": TEACHER, "beta": 0.5}, {STEPS: 2}, SOME),
    "contrastive": Case("Contrastive", {}, {STEPS: 2, "data.init_args.sampling": "balanced"}, SOME),
    "prompting, demonstrations": Case("Prompting", {"demonstrations": 3, "steady": {"ema": 0.9}}, {STEPS: 2}, SOME),
    "prompting, soft": Case("Prompting", {"tune": "soft", "soft_tokens": 2}, {STEPS: 1}, SOME),
    "contrastive, knn": Case("Contrastive", {"solver": "knn"}, {STEPS: 1, "trainer.val_check_interval": 0.5}, SOME),
    "steady, ema": Case(
        "FullFineTuning",
        {
            "steady": {
                "r_drop": 1.0,
                "mixout": 0.3,
                "l2_sp": 0.1,
                "noise": 0.15,
                "reinit_layers": 1,
                "ema": 0.9,
                "label_smoothing": 0.1,
            }
        },
        {STEPS: 1, "trainer.val_check_interval": 0.5},
        SOME,
    ),
    "steady, swa": Case(
        "ParameterEfficient",
        {**LORA, "steady": {"freelb": 0.3, "swa": 0.4}},
        {STEPS: 2, "trainer.accumulate_grad_batches": 2, "trainer.val_check_interval": 0.5},
        SOME,
    ),
    "from scratch": Case("FromScratch", {}, {STEPS: 2}, SOME),
    "balanced sampling, focal loss": Case(
        "FullFineTuning", {"loss": "focal"}, {STEPS: 2, "data.init_args.sampling": "balanced"}, SOME
    ),
    "slots, kept states, weights of both losses": Case(
        "FullFineTuning",
        {"top_layers": 1, "head": {"intent_weight": 0.5, "decoding": "constrained"}},
        {STEPS: 2, "data.init_args.task": "demo_slots"},
        SOME,
    ),
    "several labels, weighted loss": Case(
        "FullFineTuning", {"loss": "weighted"}, {STEPS: 2, "data.init_args.task": "demo_topics"}, SOME
    ),
    "packed": Case(
        "ParameterEfficient",
        LORA,
        {STEPS: 2, "data.init_args.packed": True, "data.init_args.max_tokens": 128},
        SOME,
    ),
    "accumulation of 3": Case("FullFineTuning", {}, {STEPS: 1, "trainer.accumulate_grad_batches": 3}, SOME),
    "four validations an epoch": Case("FullFineTuning", {}, {STEPS: 1, "trainer.val_check_interval": 0.25}, SOME),
    "checkpoints at ends of epochs only": Case("FullFineTuning", {}, {STEPS: 8}, SOME),
    "early stopping": Case(
        "FullFineTuning",
        {},
        {STEPS: 1, "trainer.max_epochs": 6, "early_stopping.patience": 1, "trainer.val_check_interval": 0.5},
        (3, 4, 7, 8),
    ),
    "an end in steps": Case(
        "FullFineTuning", {}, {STEPS: 2, "trainer.max_epochs": -1, "trainer.max_steps": 13}, (1, 7, 8, 9, 12)
    ),
    "full, split over 2 processes": Case("FullFineTuning", {}, {STEPS: 1, **SHARDED}, (2, 3, 4, 7), 2),
    "lora, split over 2 processes": Case("ParameterEfficient", LORA, {STEPS: 2, **SHARDED}, (3, 4, 7), 2),
    "questions": Case("FullFineTuning", {}, {STEPS: 2, **QUESTIONS}, SOME),
    "questions, lora, accumulation, two validations": Case(
        "ParameterEfficient",
        LORA,
        {"trainer.accumulate_grad_batches": 2, "trainer.val_check_interval": 0.5, **QUESTIONS},
        (3, 8, 12),
    ),
    "questions, kept features": Case("FeatureExtraction", {"solver": "sgd"}, {STEPS: 1, **QUESTIONS}, SOME),
    "texts": Case("FullFineTuning", {"steady": {"label_smoothing": 0.1}}, {STEPS: 2, **TEXTS}, SOME),
    "texts, 2 processes, accumulation": Case(
        "FromScratch", {}, {STEPS: 1, "trainer.accumulate_grad_batches": 2, **TEXTS, **TWO}, (1, 3, 4, 7), 2
    ),
    "questions, 2 processes": Case("FullFineTuning", {}, {STEPS: 1, **QUESTIONS, **TWO}, (1, 3, 4, 7), 2),
    "bf16-mixed": Case("FullFineTuning", {}, {STEPS: 2, "trainer.precision": "bf16-mixed"}, SOME),
    "32-true": Case("FullFineTuning", {}, {STEPS: 2, "trainer.precision": "32-true"}, SOME),
}


class Hook(NamedTuple):
    """A signal that a process sends to itself.

    Attributes:
        batch: Number of the batch, counted over all epochs, from 0.
        number: The signal.
        moment: Method of `Resumable` that is about to be called; ``write`` for a time within the writing of the
            first checkpoint after `batch`; ``generate`` for the generation of texts, ``features`` or ``tokens`` for the writing of cached features or token ids,
            where `batch` counts the parts that are written before.
        rank: Which process.
        delay: Seconds after that moment.
    """

    batch: int
    number: int = signal.SIGKILL
    moment: str = "on_train_batch_start"
    rank: int = 0
    delay: float = 0.0


def act(hook):
    """Installs a hook in this process; it acts once."""
    sent = []

    def send():
        os.kill(os.getpid(), hook.number)

    def fire():
        if not sent:
            sent.append(True)
            if hook.delay:
                threading.Timer(hook.delay, send).start()
            else:
                send()

    if hook.number == signal.SIGSTOP:
        lose_patience(hook)
    special = {
        "generate": within_generation,
        "write": within_checkpoint,
        "features": within_features,
        "tokens": within_tokens,
    }
    special.get(hook.moment, before_method)(hook, fire)


def lose_patience(hook):
    """Tells how long the others wait for a process, and makes it a second once that one is stopped for good."""
    from torch.distributed import distributed_c10d

    from transferlab.training.resume import Resumable

    usual = Resumable.on_train_batch_start

    def patched(self, trainer, *arguments):
        if trainer.fit_loop.total_batch_idx == hook.batch and trainer.global_rank != hook.rank:
            group = distributed_c10d._get_default_group()
            print("waits", group._get_backend(torch.device("cpu")).options._timeout)
            distributed_c10d._set_pg_timeout(datetime.timedelta(seconds=1), group)
        usual(self, trainer, *arguments)

    Resumable.on_train_batch_start = patched


def before_method(hook, fire):
    """Acts as a method of `Resumable` is called."""
    from transferlab.training.resume import Resumable

    usual = getattr(Resumable, hook.moment)

    def patched(self, trainer, *arguments):
        if trainer.fit_loop.total_batch_idx >= hook.batch and trainer.global_rank == hook.rank:
            fire()
        usual(self, trainer, *arguments)

    setattr(Resumable, hook.moment, patched)


def within_checkpoint(hook, fire):
    """Acts as a checkpoint is about to be written."""
    from transferlab.training.checkpoints import AtomicCheckpointIO

    usual = AtomicCheckpointIO.save_checkpoint

    def write(self, checkpoint, path, storage_options=None):
        if os.path.basename(path) == "last.ckpt" and checkpoint["global_step"] > hook.batch:
            fire()
        usual(self, checkpoint, path, storage_options)

    AtomicCheckpointIO.save_checkpoint = write


def within_generation(hook, fire):
    """Fires as outputs of a batch are generated, after those of `batch` batches."""
    from transferlab.strategies import writing

    usual, calls = writing.generate, []

    def patched(*arguments):
        calls.append(True)
        if len(calls) > hook.batch:
            fire()
        return usual(*arguments)

    writing.generate = patched


def within_features(hook, fire):
    """Acts when some parts of the cached features of a split are written."""
    from transferlab.learning import cache

    usual = cache._write

    def write(path, precision, place, offsets, parts, count):
        def counted():
            for number, part in enumerate(parts()):
                if number >= hook.batch:
                    fire()
                yield part

        usual(path, precision, place, offsets, counted, count)

    cache._write = write


def within_tokens(hook, fire):
    """Acts when some arrays of a tokenised split are written."""
    from transferlab.tasks import kept

    usual, saved = kept.np.save, []

    def save(path, values):
        saved.append(path)
        if len(saved) > hook.batch:
            fire()
        usual(path, values)

    kept.np.save = save


def note_batches(path):
    """Notes which examples each batch of each start had."""
    from transferlab.training.resume import Resumable

    usual = Resumable.on_train_batch_start

    def patched(self, trainer, module, batch, batch_idx):
        with open(path, "a") as file:
            entry = [trainer.fit_loop.total_batch_idx, trainer.global_rank, trainer.current_epoch, batch.index.tolist()]
            file.write(json.dumps(entry) + "\n")
        usual(self, trainer, module, batch, batch_idx)

    Resumable.on_train_batch_start = patched


def start(place, arguments, hook, environment, ballast, largest, name):
    """Body of a process: the command, with hooks."""
    output = os.open(place / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.chdir(place)
    os.environ.clear()
    os.environ.update(environment)
    torch.set_num_threads(1)
    # workers of a loader are forked, as where the command is started by hand
    multiprocessing.set_start_method("fork", force=True)
    # Lightning asks the environment for it once, when it is imported
    rank_zero_only.rank = int(environment.get("RANK", 0))
    if host := environment.get("HOST_NAMESPACE"):
        enter(host)
    if ballast:
        make_heavy(ballast)
    if largest:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    if hook is not None:
        act(hook)
    # behind the hook, so that a batch which is never begun is not noted
    if "--resume" in arguments:
        folder = arguments[arguments.index("--resume") + 1]
        note_batches(place / f"batches-{folder.replace('/', '-')}.jsonl")
    sys.argv = ["transferlab", *map(str, arguments)]
    from transferlab.__main__ import main

    try:
        main()
    finally:
        # the end of a process of multiprocessing leaves them out
        atexit._run_exitfuncs()


def enter(namespace):
    """Moves this process into a network namespace, as if it ran on another host."""
    handle = os.open(f"/run/netns/{namespace}", os.O_RDONLY)
    assert ctypes.CDLL(None, use_errno=True).setns(handle, 0x40000000) == 0, os.strerror(ctypes.get_errno())
    os.close(handle)


def make_heavy(megabytes):
    """Puts a weight into every checkpoint of the run, so that writing one takes a while."""
    from transferlab.training.resume import Resumable

    usual = Resumable.on_save_checkpoint

    def patched(self, trainer, module, checkpoint):
        usual(self, trainer, module, checkpoint)
        checkpoint["ballast"] = torch.full((megabytes, 2**18), float(trainer.global_step))

    Resumable.on_save_checkpoint = patched


class Job:
    """One start of the command in as many processes as asked for; with several, as torchrun or srun start them.

    Args:
        place: Working directory.
        arguments: The command line.
        hook: A signal that one of the processes sends to itself.
        ranks: How many processes.
        environment: Further variables.
        ballast: MB that every checkpoint is made larger by.
        hosts: Network namespaces with an address of 10.77.0.1 and so on, one for each process; none for this one.
        largest: Bytes that no file may exceed, as on a disk that is full there; 0 without.
    """

    def __init__(self, place, *arguments, hook=None, ranks=1, environment=None, ballast=0, largest=0, hosts=()):
        self.place = place
        shared = dict(os.environ) | (environment or {})
        if ranks > 1:
            shared |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "GLOO_SOCKET_IFNAME": "lo"}
        self.processes = []
        for rank in range(ranks):
            own = shared | ({"LOCAL_RANK": str(rank), "RANK": str(rank), "WORLD_SIZE": str(ranks)} if ranks > 1 else {})
            if hosts:
                own |= {"LOCAL_RANK": "0", "NODE_RANK": str(rank), "HOST_NAMESPACE": hosts[rank]}
                own |= {"MASTER_ADDR": "10.77.0.1", "GLOO_SOCKET_IFNAME": hosts[rank]}
            name = "output.txt" if rank == 0 else f"output-{rank}.txt"
            process = starts.Process(target=start, args=(place, arguments, hook, own, ballast, largest, name))
            process.start()
            self.processes.append(process)

    def wait(self, seconds=3600):
        """Exit statuses, negative for the signal that killed; a process that still runs then is a failure."""
        end = time.monotonic() + seconds
        for process in self.processes:
            process.join(max(0, end - time.monotonic()))
        alive = [rank for rank, process in enumerate(self.processes) if process.is_alive()]
        for rank in alive:
            self.processes[rank].kill()
            self.processes[rank].join()
        assert not alive, f"processes {alive} still ran after {seconds} s:\n{output(self.place)}"
        return [process.exitcode for process in self.processes]


def free_port():
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def transferlab(place, *arguments, **options):
    """Runs the command in one process; returns its exit status."""
    return Job(place, *arguments, **options).wait()[0]


def output(place):
    """What the last start wrote, all processes."""
    return "\n".join(path.read_text() for path in sorted(place.glob("output*.txt")))


def write_experiment(place, encoder, strategy, arguments=None, options=None):
    """Writes rows and an experiment file into a folder; `options` go under dotted keys."""
    files = {}
    for split, count in ROWS.items():
        files[split] = f"{split}.csv"
        rows = [f"{'good' if number % 2 else 'bad'} {'a ' * (number % 17)},{number % 2}\n" for number in range(count)]
        (place / files[split]).write_text("text,label\n" + "".join(rows))
        (place / f"questions-{split}.jsonl").write_text("".join(map(question, range(count))))
        texts = [
            {"input": f"{'x' * (number % 5)} {number}", "target": f"{number}" * (1 + number % 3)}
            for number in range(count)
        ]
        (place / f"texts-{split}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in texts))
    data = {"task": "own", "source": {"files": files}, "max_length": 32, "batch_size": 8}
    tree = {
        "trainer": {"accelerator": "cpu", "devices": 1, "max_epochs": 2, "logger": False, "log_every_n_steps": 1},
        "encoder": {"name": str(encoder)},
        "data": {"class_path": "transferlab.tasks.TaskDataModule", "init_args": data},
        "model": {
            "class_path": f"transferlab.strategies.{strategy}",
            "init_args": {
                "optimizer": {"class_path": "torch.optim.AdamW", "init_args": {"lr": 3e-3}},
                "head": {"dropout": 0.1},
                **(arguments or {}),
            },
        },
        "run": {"checkpoint_every_steps": 3},
    }
    if strategy == "Prompting":
        # it has the pretrained head
        del tree["model"]["init_args"]["head"]
    for key, value in (options or {}).items():
        *parents, last = key.split(".")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[last] = value
    (place / "mine.yaml").write_text(yaml.safe_dump(tree))
    return place


def question(number):
    """A row of questions; the context says who has how many."""
    context = f"Ada has {number} of them. " + "They sat on the mat. " * (number % 7)
    answers = [] if number % 3 == 0 else [{"text": str(number), "answer_start": 8}]
    return json.dumps({"question": f"How many of {number} has she?", "context": context, "answers": answers}) + "\n"


def lines(folder):
    """The logged steps of a run."""
    return [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]


def batches(folder):
    """Examples of each batch that any start began: (number, rank) to a list of (epoch, examples)."""
    path = folder.parents[1] / f"batches-runs-{folder.name}.jsonl"
    found = {}
    for number, rank, epoch, examples in map(json.loads, path.read_text().splitlines()):
        found.setdefault((number, rank), []).append((epoch, examples))
    return found


def trained(folder):
    """All that training left: weights, optimizer, schedule, the best checkpoint."""
    path = folder / "checkpoints" / "last.ckpt"
    last = join(path) if path.is_dir() else torch.load(path, weights_only=True)
    best = torch.load(folder / "checkpoints" / "best.ckpt", weights_only=True)
    kept = {name: last[name] for name in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")}
    assert all(value.isfinite().all() for value in kept["state_dict"].values())
    return {**kept, "best": best["state_dict"]}


def join(path):
    """A checkpoint that is a folder, with whole tensors."""
    from torch.distributed.checkpoint.format_utils import dcp_to_torch_save

    dcp_to_torch_save(path, path / "whole.pt")
    parts = torch.load(path / "whole.pt", weights_only=False)
    return {
        **torch.load(path / "rest.pt", weights_only=True),
        "state_dict": parts["state_dict"],
        "optimizer_states": parts["optimizer_0"],
    }


def same(one, other):
    """Whether two trees of tensors are equal bit for bit."""
    if isinstance(one, torch.Tensor):
        return torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def check_equal(folder, whole, batches_too=True):
    """Weights, optimizer, every logged number, every batch and the result are those of the run that was left alone."""
    assert lines(folder) == lines(whole)
    steps = [line["step"] for line in lines(folder)]
    assert steps == list(range(len(steps)))
    assert same(trained(folder), trained(whole))
    if batches_too:
        begun, expected = batches(folder), batches(whole)
        assert begun.keys() == expected.keys()
        assert all(entry == expected[place][0] for place, entries in begun.items() for entry in entries)
    one, other = (json.loads((path / "summary.json").read_text()) for path in (folder, whole))
    for summary in (one, other):
        assert summary["status"] == "finished"
    for key in ("before", "after", "metrics"):
        assert one[key] == other[key]
    assert one.get("thresholds") == other.get("thresholds")
    assert one["perf"]["steps"] == other["perf"]["steps"]
    predictions = [(path / "predictions" / "test.jsonl").read_text() for path in (folder, whole)]
    assert predictions[0] == predictions[1]


def run_case(place, encoder, case):
    """Runs a case twice, once left alone and once killed; returns how often it was killed.

    Raises:
        AssertionError: The two differ, or a start ended in another way than by the kill.
    """
    for run, (strategy, arguments) in BEFORE.items():
        if run in json.dumps(case.arguments):
            write_experiment(place, encoder, strategy, arguments)
            assert transferlab(place, *FIT, run) == 0, output(place)
    write_experiment(place, encoder, case.strategy, case.arguments, case.options)
    assert Job(place, *FIT, "runs/whole", ranks=case.ranks).wait() == [0] * case.ranks, output(place)
    kills = 0
    for number, batch in enumerate(case.batches):
        victim = number % case.ranks
        ended = Job(place, *FIT, "runs/killed", hook=Hook(batch, rank=victim), ranks=case.ranks).wait()
        # early stopping may have ended the run before
        assert ended[victim] == -signal.SIGKILL or not any(ended), output(place)
        assert case.ranks == 1 or all(ended) or not any(ended), (ended, output(place))
        kills += ended[victim] == -signal.SIGKILL
    assert Job(place, *FIT, "runs/killed", ranks=case.ranks).wait() == [0] * case.ranks, output(place)
    check_equal(place / "runs" / "killed", place / "runs" / "whole")
    return kills
