"""The bus: publishing never waits, and a listener that does not keep up is let go."""

from __future__ import annotations

import asyncio
import threading

from penchant_daemon.bus import Bus


def test_every_listener_gets_everything_in_order_from_any_thread() -> None:
    async def listen() -> None:
        bus = Bus()
        one, two = bus.subscribe(), bus.subscribe()

        def publish() -> None:
            for n in range(50):
                bus.publish("logged", ids=[str(n)])

        publisher = threading.Thread(target=publish)
        publisher.start()
        for subscription in (one, two):
            got = [await subscription.next() for _ in range(50)]
            assert [event.ids for event in got if event] == [[str(n)] for n in range(50)]
        publisher.join()
        bus.close()
        assert await one.next() is None
        assert await one.next() is None

    asyncio.run(listen())


def test_listener_that_does_not_read_loses_its_place_and_nobody_else_does() -> None:
    async def listen() -> None:
        bus = Bus()
        slow, quick = bus.subscribe(size=3), bus.subscribe()
        for n in range(5):
            bus.publish("logged", count=n)
        await asyncio.sleep(0)
        kinds = [await slow.next() for _ in range(4)]
        assert [event.count for event in kinds if event] == [0, 1, 2]
        assert kinds[-1] is None
        assert slow.was_too_slow
        assert [event.count for event in [await quick.next() for _ in range(5)] if event] == [0, 1, 2, 3, 4]

    asyncio.run(listen())


def test_closed_bus_takes_no_listener_and_publishing_to_nobody_is_fine() -> None:
    async def listen() -> None:
        bus = Bus()
        bus.publish("logged")
        gone = bus.subscribe()
        bus.unsubscribe(gone)
        assert bus.n_listeners == 0
        bus.close()
        bus.publish("logged")
        assert await bus.subscribe().next() is None

    asyncio.run(listen())


def test_callbacks_hear_the_kind_at_once() -> None:
    bus = Bus()
    heard: list[str] = []
    bus.call(heard.append)
    bus.publish("remembered")
    assert heard == ["remembered"]
