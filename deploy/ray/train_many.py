"""Trains an adapter for each file of tenants' data on a Ray cluster, and puts it where servers find it.

    python deploy/ray/train_many.py --data tenants/ --out adapters/ --model models/base -- --steps 200

`tenants/acme.jsonl` becomes `adapters/acme.mosara`. Flags after `--` go to `mosara train`. A run that was stopped
continues: a finished adapter is left alone while its data, model and flags are the same, and an unfinished one resumes
from its last checkpoint. All machines must see --data, --out and --work under the same paths. Servers watch --out
(--adapters), or share a store (--store): then --upload names one of them, which gets every finished adapter. It is
called with the key in MOSARA_API_KEY.
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from pathlib import Path

import ray

# Of one upload, with what the store of the server takes.
UPLOAD_SECONDS = 60


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with one .jsonl a tenant")
    parser.add_argument("--out", type=Path, required=True, help="folder of adapters that servers watch")
    parser.add_argument("--model", required=True, help="base directory, as mosara train takes it")
    parser.add_argument("--work", type=Path, help="folder for checkpoints, logs and receipts (default: <out>/../train-work)")
    parser.add_argument("--upload", help="address of a server, which gets finished adapters and shares its store")
    parser.add_argument("--command", nargs="+", default=["npx", "mosara"], help="how mosara is started")
    parser.add_argument("--cpus", type=float, default=1, help="cores of one run, which is also its --threads")
    parser.add_argument("--retries", type=int, default=3, help="attempts after a machine or a run was lost")
    ours = sys.argv[1 : sys.argv.index("--")] if "--" in sys.argv else sys.argv[1:]
    arguments = parser.parse_args(ours)
    arguments.flags = sys.argv[len(ours) + 2 :]
    arguments.work = arguments.work or arguments.out.parent / "train-work"
    return arguments


def plan_of(data: Path, model: str, flags: list[str]) -> str:
    """What decides an adapter's content, as a hash."""
    digest = hashlib.sha256(json.dumps([model, flags]).encode())
    digest.update(data.read_bytes())
    return digest.hexdigest()


def train(data: Path, out: Path, work: Path, model: str, command: list[str], threads: int, flags: list[str]) -> dict:
    """One run, in a process of its own. Its adapter appears in `out` whole or not at all."""
    name, plan = data.stem, plan_of(data, model, flags)
    record = work / f"{name}.json"
    if record.exists() and (out / f"{name}.mosara").exists():
        known = json.loads(record.read_text())
        if known["plan"] == plan:
            return {"name": name, "status": "kept"}
    folder = work / name / plan[:16]  # other data or flags: another run, whose checkpoint must not be resumed
    folder.mkdir(parents=True, exist_ok=True)
    made = folder / f"{name}.mosara"
    run = subprocess.run(
        [*command, "train", "--model", model, "--data", str(data), "--out", str(made), "--threads", str(threads)]
        + ["--resume", "--json", *flags],
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode < 0:  # a signal, such as the kernel's when memory is short: tried again, from the last checkpoint
        raise RuntimeError(f"{name}: ended by signal {-run.returncode}")
    if run.returncode > 0:  # mosara says what is wrong: no other machine would do better
        return {"name": name, "status": "failed", "reason": run.stderr.strip().splitlines()[-1]}
    hidden = out / f".{name}.mosara.new"
    shutil.copyfile(made, hidden)
    os.replace(hidden, out / f"{name}.mosara")
    result = json.loads(run.stdout)
    record.write_text(json.dumps({"plan": plan, **result}))
    shutil.rmtree(work / name)
    return {"name": name, "status": "trained", "evalLoss": result.get("evalLoss"), "seconds": result.get("seconds")}


def upload(server: str, adapter: Path, record: Path) -> None:
    """Gives the server an adapter that it did not get from us before. @raises RuntimeError it refuses"""
    known = json.loads(record.read_text())
    if known.get("uploadedTo") == server:
        return
    key = os.environ.get("MOSARA_API_KEY")
    request = urllib.request.Request(
        f"{server}/v1/adapters/{urllib.parse.quote(adapter.stem)}",
        data=adapter.read_bytes(),
        method="PUT",
        headers={"content-type": "application/octet-stream", **({"authorization": f"Bearer {key}"} if key else {})},
    )
    try:
        urllib.request.urlopen(request, timeout=UPLOAD_SECONDS).close()
    except urllib.error.HTTPError as error:
        raise RuntimeError(f"{server} refuses it with {error.code}: {error.read().decode()}") from error
    record.write_text(json.dumps({**known, "uploadedTo": server}))


def main() -> int:
    arguments = parse()
    if Path(arguments.model).exists():
        arguments.model = str(Path(arguments.model).resolve())
    files = sorted(arguments.data.glob("*.jsonl"))
    if not files:
        print(f"train_many: wanted files *.jsonl in {arguments.data}, found none", file=sys.stderr)
        return 2
    arguments.out.mkdir(parents=True, exist_ok=True)
    arguments.work.mkdir(parents=True, exist_ok=True)
    ray.init(log_to_driver=False)
    task = ray.remote(num_cpus=arguments.cpus, max_retries=arguments.retries, retry_exceptions=True)(train)
    places = [path.resolve() for path in (arguments.out, arguments.work)]
    threads = max(1, int(arguments.cpus))

    def submit(data: Path):
        return task.remote(data.resolve(), *places, arguments.model, arguments.command, threads, arguments.flags)

    # Only some are submitted ahead: thousands of waiting tasks would fill the scheduler for nothing.
    ahead = max(8, 4 * int(ray.cluster_resources().get("CPU", 1)))
    waiting, running, counts = list(reversed(files)), {}, {"trained": 0, "kept": 0, "failed": 0}
    while waiting or running:
        while waiting and len(running) < ahead:
            data = waiting.pop()
            running[submit(data)] = data
        (done,), _ = ray.wait(list(running), num_returns=1)
        data = running.pop(done)
        try:
            result = ray.get(done)
            if arguments.upload and result["status"] != "failed":
                upload(arguments.upload, places[0] / f"{data.stem}.mosara", places[1] / f"{data.stem}.json")
        except Exception as error:  # one tenant's failure must not end the others' runs
            result = {"name": data.stem, "status": "failed", "reason": str(error).strip().splitlines()[-1]}
        counts[result["status"]] += 1
        print(json.dumps(result), flush=True)
    print(json.dumps(counts), flush=True)
    return 1 if counts["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
