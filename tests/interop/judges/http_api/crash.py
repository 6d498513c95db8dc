"""Promises over a SIGKILL: what was answered 201 is there, what was settled stays settled."""

from lib import Broker, Checks
from tools import Api, channel, checks_of, equal

CYCLES = 3


def check_what_was_answered_survives_a_kill():
    with Broker("ferrymq", http=True) as broker:
        api, sent, accepted = Api(broker.http), 0, 0
        name = "kept"
        with channel(broker.port) as opened:
            opened.queue_declare(name, durable=True)
        for _ in range(CYCLES):
            for _ in range(40):
                equal(api.publish(name, b"%d" % sent).json, {"routed": True, "durable": True})
                sent += 1
            body = {"messages": [{"routing_key": name, "payload": str(sent + n)} for n in range(100)]}
            api.post("/publish-batch/%2F/amq.default", body)
            sent += 100
            taken = api.lease(name, max=10)
            results = api.settle(name, *((one["lease"], "accept") for one in taken))
            equal([result["settled"] for result in results], [True] * 10)
            accepted += 10
            held = api.lease(name, max=5)
            broker.restart(kill=True)
            late = api.settle(name, *((one["lease"], "accept") for one in held))
            equal({result["why"] for result in late}, {"restarted"})
            page = api.get(f"/queues/%2F/{name}/messages?limit=500")
            numbers = [int(one["payload"]) for one in page["items"]]
            equal(numbers, list(range(accepted, sent)))


checks_of(Checks(), globals())
