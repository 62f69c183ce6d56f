#!/usr/bin/env python3
"""Measures loader_bench against other loaders on the same photographs and writes docs/benchmarks.md.

    apt-get install cmake nasm libturbojpeg0-dev libopencv-dev pkg-config
    python3 docs/bench/make_corpus.py --out photographs --images 2000
    python3 docs/bench/make_many.py --out many
    cargo build --release -p sbam-tools
    cargo build --release --manifest-path docs/bench/turbojpeg/Cargo.toml --target-dir target
    python3 docs/bench/run.py --photographs photographs --bin target/release --work work \
        --many many --python PYTHON --dali-python PYTHON --ffcv-python PYTHON

Ours and a peer run in turn, `--rounds` times, pinned to the same processors; what is quoted is the median of the
ratios of the pairs. The peers' environments: torch torchvision webdataset pillow numpy; nvidia-dali-cuda130 numpy;
and for FFCV what its own documentation asks for.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import re
import statistics
import subprocess

HERE = pathlib.Path(__file__).resolve().parent
# Peer: how it is called in the table, what ours gives out, what must be reached (ordinary, crop-ready).
PEERS = {
    "torchvision": ("torchvision on tensors", "f32", 1.7, 2.7),
    "dali": ("DALI, CPU operators", "f32", 2.0, 3.2),
    "webdataset": ("webdataset + Pillow", "f32", 2.7, 4.3),
    "ffcv": ("FFCV (its own format, u8, resize by area)", "u8", 1.25, 2.0),
    "turbojpeg": ("libjpeg-turbo, decoding alone", "u8", 0.78, 1.25),
}


def json_line(command, cpus):
    done = subprocess.run(["taskset", "-c", cpus, *map(str, command)], capture_output=True, text=True)
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        raise SystemExit(f"{' '.join(map(str, command))} failed ({done.returncode}): {done.stderr[-600:]}")
    return json.loads(lines[-1])


def peer_command(args, peer, shards, threads):
    if peer == "turbojpeg":
        return [args.bin / "sbam-bench-turbojpeg", shards]
    python = {"dali": args.dali_python, "ffcv": args.ffcv_python}.get(peer, args.python)
    return python and [python, HERE / "peer.py", peer, "--shards", shards, "--threads", threads]


def bench(args, shards, threads, output, *more):
    return [args.bin / "loader_bench", "--shards", shards, "--threads", threads, "--output", output, "--json", *more]


def pairs(args, ours, theirs):
    """Medians of ours, of theirs, and of the ratios of the pairs, with their range. Both are a command and processors."""
    found = []
    for _ in range(args.rounds):
        found.append((json_line(*ours)["images_per_s"], json_line(*theirs)["images_per_s"]))
    ratios = [a / b for a, b in found]
    middle = [statistics.median(column) for column in (*zip(*found), ratios)]
    return (*middle, min(ratios), max(ratios))


def against_peers(args, plain, ready):
    rows = ["| against | threads | theirs | ordinary: ours | ratio | crop-ready: ours | ratio | at least |",
            "|---|---|---|---|---|---|---|---|"]
    for threads in (1, 2):
        for peer, (name, output, least_plain, least_ready) in PEERS.items():
            theirs = peer_command(args, peer, plain, threads)
            # libjpeg-turbo is a yardstick and no loader; FFCV with two workers would need a third processor.
            if theirs is None or (threads > 1 and peer in ("turbojpeg", "ffcv")):
                continue
            # FFCV has a main thread that works beside its workers.
            cpus = "0" if threads == 1 and peer != "ffcv" else "0,1"
            found = []
            for _ in range(args.rounds):
                found.append([json_line(command, cpus)["images_per_s"]
                              for command in (bench(args, plain, threads, output), theirs, bench(args, ready, threads, output))])
            middle = [statistics.median(column) for column in zip(*found)]
            cells = []
            for ours in (0, 2):
                ratios = [row[ours] / row[1] for row in found]
                cells.append(f"{middle[ours]:,.0f} | **{statistics.median(ratios):.2f}** ({min(ratios):.2f}–{max(ratios):.2f})")
            least = f"{least_plain} / {least_ready}" if threads == 1 else ""
            rows.append(f"| {name} | {threads} | {middle[1]:,.0f} | {' | '.join(cells)} | {least} |")
            print(rows[-1], flush=True)
    return rows


def threads_and_stages(args, plain, ready):
    rows = ["| shards | output | 1 thread, 1 core | 2 threads, 2 cores | ratio |", "|---|---|---|---|---|"]
    for shards in (plain, ready):
        for output in ("u8", "f32"):
            two, one, ratio, low, high = pairs(args, (bench(args, shards, 2, output, "--images", 8000), "0,1"),
                                               (bench(args, shards, 1, output, "--images", 8000), "0"))
            rows.append(f"| {shards.name} | {output} | {one:,.0f} | {two:,.0f} | {ratio:.2f} ({low:.2f}–{high:.2f}) |")
    rows += ["", "| shards | read | decode | resize | pixels decoded |", "|---|---|---|---|---|"]
    for shards in (plain, ready):
        stages = {stage: json_line(bench(args, shards, 1, "u8", "--stage", stage, "--images", 4000), "0")
                  for stage in ("read", "decode", "resize")}
        read, decode, resize = (stages[stage]["ms_per_image"][stage] for stage in ("read", "decode", "resize"))
        rows.append(f"| {shards.name} | {read:.3f} ms | {decode:.3f} ms | {resize:.3f} ms | "
                    f"{stages['decode']['decoded_pixels_per_image']:,.0f} |")
    return rows


def memory(args, ready):
    rows = ["| epochs | peak memory | by the configuration |", "|---|---|---|"]
    for epochs in (1, 2, 5, 10):
        found = json_line(bench(args, ready, 2, "u8", "--images", 2000 * epochs, "--prefetch-batches", 4), "0,1")
        rows.append(f"| {epochs} | {found['peak_memory_bytes'] / 1e6:.1f} MB | "
                    f"{found['estimated_memory_bytes'] / 1e6:.1f} MB |")
    return rows


def first_batch(args):
    """The time from the start to the first batch; the run before makes the manifest."""
    command = [args.bin / "loader_bench", "--shards", args.many, "--threads", 2, "--images", 256, "--json"]
    json_line(command, "0,1")
    seconds = [json_line(command, "0,1")["first_batch_s"] for _ in range(args.rounds)]
    return [f"From the start, opening the manifest among it, to the first batch of 128 from 1.28 million samples in 128 "
            f"shards: {statistics.median(seconds):.2f} s ({min(seconds):.2f}–{max(seconds):.2f})."]


def views(args, ready):
    rows = ["| views | ordinary | crop-ready |", "|---|---|---|"]
    plain = ready.parent / "ordinary"
    for count in (1, 2, 4):
        cells = [json_line(bench(args, shards, 1, "u8", "--views", count, "--images", 4000), "0")["images_per_s"]
                 for shards in (plain, ready)]
        rows.append(f"| {count} | {cells[0]:,.0f} | {cells[1]:,.0f} |")
    return rows


def criterion(path):
    """The middle estimates in what `cargo bench` printed; long names stand on a line of their own."""
    text = re.sub(r"\n +time:", " time:", path.read_text())
    found = re.findall(r"^(\S.*?) +time: +\[\S+ \S+ (\S+ \S+) ", text, re.M)
    return ["| what | time |", "|---|---|", *(f"| {name} | {time} |" for name, time in found)]


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as file:
        text = file.read()
    name = re.search(r"model name\s*: (.*)", text).group(1)
    found = re.search(r"cpu family\s*: (\d+)\nmodel\s*: (\d+)", text)
    where = f" (family {found.group(1)}, model {found.group(2)})" if found else ""
    return f"{os.cpu_count()} cores of an {name}{where}, {platform.system()} {platform.release()}"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--photographs", type=pathlib.Path, required=True)
    options.add_argument("--bin", type=pathlib.Path, required=True)
    options.add_argument("--work", type=pathlib.Path, required=True, help="for the shards")
    options.add_argument("--python", default="python3")
    options.add_argument("--dali-python")
    options.add_argument("--ffcv-python")
    options.add_argument("--many", type=pathlib.Path, help="what make_many.py wrote")
    options.add_argument("--criterion", type=pathlib.Path, help="what `cargo bench` printed, for a table of the pieces")
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--out", type=pathlib.Path, default=HERE.parent / "benchmarks.md")
    args = options.parse_args()
    plain, ready = args.work / "ordinary", args.work / "crop-ready"
    for shards, flag in ((plain, "--keep-bytes"), (ready, "--crop-ready")):
        if not shards.exists():
            subprocess.run([args.bin / "shard_imagenet", args.photographs, shards, "--shard-count", "8", flag], check=True)
    version = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=HERE, capture_output=True, text=True).stdout
    size = {shards: sum(path.stat().st_size for path in shards.glob("*.tar")) for shards in (plain, ready)}
    text = [
        "# Benchmarks",
        "",
        f"Made by `docs/bench/run.py` on {datetime.date.today()}, commit {version.strip()}: {machine()}.",
        f"The commands are at the top of that script. {args.rounds} rounds; ours and a peer run in turn, pinned to the same "
        "processors, and ratios are medians over the pairs (smallest and largest in brackets). Absolute figures of a "
        "shared machine vary from day to day; ratios less.",
        "",
        "2,000 crops of photographs, about 500×375 pixels and 90 kB, 4:2:0 and 4:4:4. An image is read from its shard, "
        "decoded, cropped as RandomResizedCrop(224, scale 0.2–1) draws it, resized (bicubic, antialiased) and flipped; "
        "with f32 also normalised, `[3, height, width]`. All read the ordinary shards (FFCV its own format made of "
        f"them). Crop-ready shards of the same photographs have {size[ready] / size[plain]:.3f} of the bytes and the same "
        "pixels.",
        "",
        "## Against other loaders, images/s",
        "",
        *against_peers(args, plain, ready),
        "",
        "Pinned to as many processors as threads, FFCV and ours beside it to two. The last column is what the project set "
        "itself for one thread.",
        "",
        "## Threads, and stages on one core",
        "",
        *threads_and_stages(args, plain, ready),
        "",
        "## Several views of a photograph (`--views`), images/s on one core",
        "",
        *views(args, ready),
        "",
        "## Memory over epochs",
        "",
        "Two threads, batches of 128, four prepared ahead, u8. One epoch is over before every buffer has been used.",
        "",
        *memory(args, ready),
    ]
    if args.many:
        text += ["", "## First batch", "", *first_batch(args)]
    if args.criterion:
        text += ["", "## Pieces", "", "`cargo bench -p sbam-loader -p sbam-augment`, middle estimates.", "",
                 *criterion(args.criterion)]
    args.out.write_text("\n".join(text) + "\n")
    print(f"wrote {args.out}")


if __name__ == "__main__":
    main()
