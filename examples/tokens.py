"""A durable token stream: the connection is cut in the middle of a sentence, and no word is lost.

Run it with ``python examples/tokens.py``.
"""

import asyncio
import sys
import uuid

from lunora_rx import Backoff, LunoraClient, api
from lunora_rx.devserver import App

TEXT = """The moon pulls at the sea that lies below it a little more than at the earth, and at the earth a little
more than at the sea on the far side. So the water stands in two hills, one under the moon and one behind,
and as the earth turns beneath them every coast meets both of them once a day."""

app = App()


# What a language model would do. The run of a durable stream is the server's: it goes on while nobody listens.
@app.stream("tides:explain", durable=True)
async def explain(ctx, run: str):
    for word in TEXT.split():
        await asyncio.sleep(0.03)
        yield word


async def main():
    async with app.serve() as url, LunoraClient(url, reconnect=Backoff(initial=0.7, jitter="none")) as client:
        words, cuts = [], 0
        showing = client.status.subscribe(lambda status: print(f"[{status}]", end=" ", flush=True))
        # Path and arguments name a durable run: who starts the same follows the same. An id makes it a new one.
        tokens = client.stream(api.tides.explain, {"run": str(uuid.uuid4())}, durable=True)
        async for word in tokens.aiter():
            words.append(word)
            print(word, end=" ", flush=True)
            if len(words) == 18:
                cuts += app.faults.drop_sockets()  # what a tunnel is to a train
        showing.dispose()
        is_whole = words == TEXT.split()
        verdict = "no word is" if is_whole else "words are"
        print(f"\n\n{len(words)} words through {cuts} cut: {verdict} missing or twice.")
        return is_whole and cuts == 1


if __name__ == "__main__":
    sys.exit(0 if asyncio.run(main()) else 1)
