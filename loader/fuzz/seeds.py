#!/usr/bin/env python3
"""Writes small shards and manifests for the fuzzers to start from: CORPUS/index and CORPUS/manifest. Needs pyarrow.

    python3 seeds.py corpus
"""
import io
import pathlib
import sys
import tarfile

import pyarrow as pa
import pyarrow.parquet as pq
from PIL import Image


def jpeg(width, height):
    file = io.BytesIO()
    Image.new("RGB", (width, height), (9, 99, 199)).save(file, "JPEG", quality=30)
    return file.getvalue()


def shard(members, **options):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", **options) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def main():
    corpus = pathlib.Path(sys.argv[1])
    photograph = jpeg(9, 7)
    shards = {
        "plain": shard([("a.jpg", photograph), ("a.cls", b"3"), ("b.jpg", photograph), ("b.json", b"{}")]),
        "gnu-long-name": shard([("n" * 120 + ".jpg", photograph)], format=tarfile.GNU_FORMAT),
        "pax-long-name": shard([("ä" * 120 + ".jpg", photograph)], format=tarfile.PAX_FORMAT),
        "no-image": shard([("a.cls", b"3")]),
        "twice": shard([("a.jpg", photograph), ("a.jpg", photograph)]),
        "empty-member": shard([("a.jpg", b""), ("a.cls", b"")]),
    }
    for name, data in shards.items():
        path = corpus / "index" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    columns = {"shard": pa.string(), "shard_index": pa.int32(), "key": pa.string(), "offset": pa.int64(),
               "length": pa.int32(), "width": pa.int32(), "height": pa.int32(), "label": pa.int32(),
               "crc32c": pa.int64(), "restart_mcus": pa.int32()}
    row = {"shard": "s-0.tar", "shard_index": 0, "key": "a", "offset": 512, "length": 700, "width": 9, "height": 7,
           "label": None, "crc32c": 1, "restart_mcus": 0}
    for name, rows in {"one": [row], "none": [], "two": [row, {**row, "key": "b", "offset": 2048, "label": 5}]}.items():
        path = corpus / "manifest" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        table = pa.table({column: pa.array([row[column] for row in rows], kind) for column, kind in columns.items()})
        table = table.replace_schema_metadata({
            "sbam.schema_version": "1", "sbam.tool": "seeds", "sbam.seed": "7", "sbam.class_names": '["a", "b"]',
            "sbam.shards": '[{"name": "s-0.tar", "bytes": 10240, "crc32c": "00000001"}]'})
        for compression in ("none", "zstd"):
            pq.write_table(table, path.with_suffix(f".{compression}"), compression=compression)


if __name__ == "__main__":
    main()
