"""What electricity costs at the moment: two live queries joined, a moving rate, a frame of pandas."""

import asyncio

from lunora_rx import LunoraClient, api
from lunora_rx import operators as lops
from lunora_rx.devserver import App

app, frames = App(), []
app.query("tariffs:list")(lambda ctx: ctx.db.table("tariffs").collect())
app.query("readings:list")(lambda ctx: ctx.db.table("readings").collect())
app.mutation("rows:insert")(lambda ctx, table, row: ctx.db.insert(table, **row))


async def main():
    async with app.serve() as url, LunoraClient(url) as client:
        await client.mutation(api.rows.insert, {"table": "tariffs", "row": {"tariff": "night", "price": 0.25}})
        priced = client.live(api.readings.list).pipe(lops.join(client.live(api.tariffs.list), on="tariff"))
        costs = priced.map(lambda rows: sum(row["kwh"] * row["price"] for row in rows))
        rates = costs.pipe(lops.rate(seconds=0.5)).map(lambda rate: {"per_second": rate})
        rates.pipe(lops.history(100), lops.to_frame()).subscribe(frames.append)
        for _ in range(40):
            await client.mutation(api.rows.insert, {"table": "readings", "row": {"tariff": "night", "kwh": 1}})
            await asyncio.sleep(0.025)
    print(f"{len(frames[-1])} rates; at last {frames[-1]['per_second'].iloc[-1]:.1f} a second")


asyncio.run(main())
