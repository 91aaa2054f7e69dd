"""Post with a plain aiohttp client: `plain_poster.py URLS SAMPLE REPORT EACH WORKERS`.

URLS is a file with a URL on each line, SAMPLE an arrival that Longwire made: its body and headers go out
unchanged, EACH times to each URL, by so many WORKERS per URL. Nothing is signed, encoded, kept or tried
again. REPORT gets how many seconds that took, as JSON.
"""

import asyncio
import gc
import json
import sys
import time
from pathlib import Path

import aiohttp
import msgspec
from yarl import URL

urls, sample, report = map(Path, sys.argv[1:4])
each, workers = map(int, sys.argv[4:6])

MADE_BY_THE_CLIENT = {"host", "content-length", "accept", "accept-encoding", "user-agent"}


async def main() -> None:
    arrival = msgspec.json.decode(sample.read_bytes())
    headers = {name: value for name, value in arrival["headers"] if name not in MADE_BY_THE_CLIENT}
    body = arrival["body"].encode()
    connector = aiohttp.TCPConnector(limit=0)
    left = dict.fromkeys(urls.read_text().split(), each)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def work(line: str) -> None:
            url = URL(line)
            while left[line]:
                left[line] -= 1
                async with session.post(url, data=body, headers=headers) as answer:
                    assert answer.ok
                    await answer.read()

        gc.freeze()
        begun = time.perf_counter()
        async with asyncio.TaskGroup() as tasks:
            for line in left:
                for number in range(workers):
                    tasks.create_task(work(line), name=f"{line} {number}")
        took_s = time.perf_counter() - begun
    report.write_text(json.dumps(took_s))


asyncio.run(main())
