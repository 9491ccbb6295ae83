"""The dashboard's logic, against a server that says what the tests want."""

from dashboard import Dashboard

from lunora_rx.testing import PENDING, assert_marbles, record

ORDERS = [{"_id": "1", "item": "tea"}, {"_id": "2", "item": "cups"}]


async def test_count_follows_the_orders(lunora_server, lunora_client, lunora_time):
    lunora_server.push("orders:open", ORDERS)
    count = record(Dashboard(lunora_client).count)
    await lunora_time.settle()
    lunora_server.insert("orders:open", {"_id": "3", "item": "jam"})
    lunora_server.update("orders:open", {"_id": "1", "item": "green tea"})
    lunora_server.delete("orders:open", "2")
    await lunora_time.settle()
    assert count.values == [2, 3, 2]


async def test_rate_is_told_every_ten_seconds(lunora_server, lunora_client, lunora_time):
    lunora_server.push("orders:open", [])
    rate = record(Dashboard(lunora_client).rate)
    await lunora_time.advance(15)
    for number in range(5):
        lunora_server.insert("orders:open", {"_id": str(number)})
    await lunora_time.advance(20)
    assert_marbles(rate, "----a-b", {"a": 0.5, "b": 0.0}, timespan=5)


async def test_search_waits_until_nothing_is_typed(lunora_server, lunora_client, lunora_time):
    lunora_server.on_query("orders:search", lambda args: [row for row in ORDERS if args["text"] in row["item"]])
    dashboard = Dashboard(lunora_client)
    found = record(dashboard.found)
    for text in ("t", "te", "tea"):
        await lunora_time.advance(0.2)
        dashboard.typed.on_next(text)
    await lunora_time.advance(0.2)
    assert lunora_server.watched == []
    await lunora_time.advance(0.2)
    assert [target.args for target in lunora_server.watched] == [{"text": "tea"}]
    assert found.values == [ORDERS[:1]]


async def test_badge_is_stale_after_a_while_and_recovers(lunora_server, lunora_client, lunora_time):
    lunora_server.on_query("orders:open", PENDING)
    badge = record(Dashboard(lunora_client).badge)
    await lunora_time.settle()
    assert badge.values == ["loading"]
    lunora_server.push("orders:open", ORDERS)
    await lunora_time.settle()
    lunora_server.refuse()
    lunora_server.drop()
    await lunora_time.advance(4)
    assert badge.values == ["loading", "live"]
    await lunora_time.advance(1)
    assert badge.values == ["loading", "live", "stale"]
    lunora_server.accept()
    await lunora_time.advance(30)
    assert badge.values == ["loading", "live", "stale", "live"]


async def test_short_loss_is_not_shown(lunora_server, lunora_client, lunora_time):
    lunora_server.push("orders:open", ORDERS)
    badge = record(Dashboard(lunora_client).badge)
    await lunora_time.settle()
    lunora_server.drop()
    await lunora_time.advance(60)
    assert badge.values == ["loading", "live"]
    assert len(lunora_server.openings) == 2


async def test_shipped_order_is_gone_at_once(lunora_server, lunora_client, lunora_time):
    lunora_server.push("orders:open", ORDERS)
    lunora_server.on_mutation("orders:ship", lambda args: lunora_server.delete("orders:open", args["id"]))
    dashboard = Dashboard(lunora_client)
    count = record(dashboard.count)
    await lunora_time.settle()
    assert await dashboard.ship("1") == "shipped"
    await lunora_time.settle()
    assert count.values == [2, 1]
    assert [call.args for call in lunora_server.calls_of("orders:ship")] == [{"id": "1"}]


async def test_refused_shipping_brings_the_order_back(lunora_server, lunora_client, lunora_time):
    lunora_server.push("orders:open", ORDERS)
    lunora_server.fail("orders:ship", "OUT_OF_STOCK", "the shelf is empty", times=1)
    lunora_server.latency = 2
    dashboard = Dashboard(lunora_client)
    count = record(dashboard.count)
    await lunora_time.advance(2)
    assert await dashboard.ship("1") == "not shipped: OUT_OF_STOCK: the shelf is empty"
    assert_marbles(count, "2-1-2")
