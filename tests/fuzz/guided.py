"""Coverage-guided fuzzing of the same targets, with atheris: ``tox run -e fuzz -- --engine atheris`` runs it.

Inputs are spoilt by the structure-aware mutator or by libFuzzer's own; those that reach new code are kept and spoilt
further.
"""

from __future__ import annotations

import os
import random
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PACKAGE = "lunora_rx"


def run(name: str, *, seconds: float, inputs: int | None, seed: str) -> int:
    """Fuzz one target in a process that libFuzzer ends, after so many seconds or, where they are given, inputs.

    Returns 1 if an input broke it, or no code was counted.
    """
    from tests.fuzz.engine import tell

    with tempfile.TemporaryDirectory(prefix="lunora-fuzz-") as directory:
        command = [
            sys.executable,
            "-m",
            "tests.fuzz.guided",
            name,
            f"-runs={inputs}" if inputs else f"-max_total_time={int(seconds)}",
            str(random.Random(seed).randrange(2**31)),
        ]
        began = time.monotonic()
        done = subprocess.run([*command, directory], capture_output=True, text=True, errors="replace")
        units = re.findall(r"stat::number_of_executed_units:\s*(\d+)", done.stderr)
        reached = re.findall(r"cov: (\d+) ft: (\d+) corp: (\d+)", done.stderr)
        told = "reached {} edges, {} features, kept {} inputs".format(*reached[-1]) if reached else ""
        seconds = time.monotonic() - began
        tell(f"{name:11} {int(units[-1]) if units else 0:10,} inputs {seconds:6.0f} s by atheris: {told}")
        if done.returncode == 0 and reached:
            return 0
        tell(done.stdout[-6_000:] + done.stderr[-6_000:])
        for path in Path(directory).glob("found-*"):
            tell(f"{path.name}: {path.read_bytes()[:2_000]!r}")
        return 1


def main(name: str, limit: str, seed: str, directory: str) -> None:
    """Instrument the package, then hand over to libFuzzer, which does not return.

    Nothing of the package may have been imported by then: it would run uncounted, and guide nobody.
    """
    assert not any(module.partition(".")[0] == PACKAGE for module in sys.modules), "it is imported already"
    import atheris

    with atheris.instrument_imports(include=[PACKAGE]):
        from tests.fuzz.targets import TARGETS
    from tests.fuzz.mutator import Mutator

    target = TARGETS[name]
    corpus = Path(directory) / "corpus"
    corpus.mkdir()
    for number, each in enumerate(target.seeds):
        (corpus / f"seed-{number}").write_bytes(each)

    def mutate(text: bytes, max_size: int, number: int) -> bytes:
        chance = random.Random(number)
        if chance.random() < 0.3:
            return atheris.Mutate(text, max_size)
        return Mutator(chance, target.words).mutate(bytes(text))[:max_size]

    arguments = [
        "fuzz",
        str(corpus),
        limit,
        f"-seed={seed}",
        "-max_len=200000",
        "-len_control=0",
        "-print_final_stats=1",
        f"-artifact_prefix={directory}{os.sep}found-",
    ]
    atheris.Setup(arguments, target.run, custom_mutator=mutate)
    atheris.Fuzz()


if __name__ == "__main__":
    main(*sys.argv[1:])
