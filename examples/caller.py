"""A caller: places an order, reads it back, and asks for something that can't be.

    pip install pika
    AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f python examples/caller.py SO-1001

Answers come by RabbitMQ's direct reply-to, so there is no queue to declare. An answer that comes when nobody
listens any more is lost, but not the result: it goes to `ffn.results` all the same, and who sends the
same command with the same id again is given it again. Nothing is done twice by that.
"""

import json
import os
import sys
import time

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
EXCHANGE = os.environ.get("EXCHANGE", "ffn.commands")
ACCOUNT = os.environ.get("ACCOUNT", "acme")
REPLIES = "amq.rabbitmq.reply-to"


class CommandFailed(Exception):
    """The command came to its end, and did not succeed."""

    def __init__(self, error):
        super().__init__(f"{error['code']}: {error['message']}")
        self.error = error


class Caller:
    def __init__(self, url):
        self.answers = {}
        self.connection = pika.BlockingConnection(pika.URLParameters(url))
        self.channel = self.connection.channel()
        self.channel.confirm_delivery()  # basic_publish raises what the broker does not take
        self.channel.basic_consume(REPLIES, self.on_answer, auto_ack=True)  # before the first command, on its channel

    def on_answer(self, channel, method, properties, body):
        event = json.loads(body)
        self.answers[properties.correlation_id] = event.get("data", event)  # in binary mode the body is the data

    def call(self, command, command_id, body, timeout=60):
        """What FFN answered. The id is the caller's, the same whenever the same thing is asked again."""
        properties = pika.BasicProperties(
            message_id=command_id,
            reply_to=REPLIES,
            correlation_id=command_id,
            content_type="application/json",
            delivery_mode=2,  # kept on disk
        )
        key = f"{ACCOUNT}.{command}"
        self.channel.basic_publish(EXCHANGE, key, json.dumps(body), properties, mandatory=True)
        until = time.monotonic() + timeout
        while command_id not in self.answers:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError(f"no answer to {command_id} yet; send it again with the same id to be given it")
            self.connection.process_data_events(time_limit=left)
        answer = self.answers.pop(command_id)
        if "error" in answer:
            raise CommandFailed(answer["error"])
        return answer["response"]


def main(number):
    order = {
        "merchantOutboundNumber": number,
        "warehouseId": os.environ.get("WAREHOUSE", "WARE04MAIN-00001-0001"),
        "currency": "EUR",
        "shippingAddress": {
            "lastname": "Lovelace",
            "street": "St. James's Square 12",
            "zip": "10115",
            "city": "Berlin",
            "country": "DE",
        },
        "items": [{"outboundItemId": "1", "merchantSku": os.environ.get("SKU", "MUG-BLUE"), "quantity": 2}],
    }
    caller = Caller(URL)
    created = caller.call("outbound.create", f"{number}/create", order)
    print(number, "is placed; FFN calls it", created["outboundId"], flush=True)
    again = caller.call("outbound.create", f"{number}/create", order)
    print("asked again with the same id, it is still", again["outboundId"], flush=True)
    read = caller.call("outbound.get", f"{number}/get/{time.time_ns()}", {"outboundId": created["outboundId"]})
    print("it is", read["status"], "with", len(read["items"]), "line", flush=True)
    try:
        bad = {**order, "items": [{**order["items"][0], "quantity": "two"}]}
        caller.call("outbound.create", f"{number}/bad/{time.time_ns()}", bad)
    except CommandFailed as failed:
        print("a bad order is refused:", failed.error["code"], flush=True)
        for field in failed.error.get("fields", []):
            print(f"  {field['path']} {field['message']}", flush=True)
    caller.connection.close()


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: caller.py ORDER-NUMBER")
    main(sys.argv[1])
