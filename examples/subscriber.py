"""A subscriber: tells of every order that was shipped and every parcel that left.

    pip install pika
    AMQP_URL=amqp://guest:guest@127.0.0.1:5672/%2f python examples/subscriber.py

It has a durable queue of its own, so nothing is missed while it is not running. Messages arrive at
least once: it remembers the ids it has handled, in the same transaction as its own work, and
acknowledges last.
"""

import json
import os
import sqlite3

import pika

URL = os.environ.get("AMQP_URL", "amqp://guest:guest@127.0.0.1:5672/%2f")
EXCHANGE = os.environ.get("EXCHANGE", "ffn.events")
QUEUE = os.environ.get("QUEUE", "shop.shipments")
BINDINGS = ["*.outbound.shipped", "*.shipment.dispatched"]

database = sqlite3.connect(os.environ.get("DATABASE", "subscriber.db"))
database.execute("CREATE TABLE IF NOT EXISTS handled (message_id TEXT PRIMARY KEY)")


def work(kind, data):
    """Your own work. What it writes to `database` is committed together with the message's id."""
    number = data.get("merchantOutboundNumber")
    if kind == "ffn.shipment.dispatched.v1":
        print(number, "left with", data.get("carrier"), ", ".join(data["trackingIds"]), flush=True)
    else:
        print(number, "is", data.get("status"), "since", data["occurredAt"], flush=True)


def on_message(channel, method, properties, body):
    with database:  # commits, or rolls back if something is raised
        new = database.execute("INSERT OR IGNORE INTO handled VALUES (?)", [properties.message_id]).rowcount
        if new:
            event = json.loads(body)
            work(properties.type, event.get("data", event))  # in binary mode the body is the data
    channel.basic_ack(method.delivery_tag)


connection = pika.BlockingConnection(pika.URLParameters(URL))
channel = connection.channel()
channel.queue_declare(QUEUE, durable=True, arguments={"x-queue-type": "quorum"})
for binding in BINDINGS:
    channel.queue_bind(QUEUE, EXCHANGE, binding)
channel.basic_qos(prefetch_count=20)
channel.basic_consume(QUEUE, on_message)
try:
    channel.start_consuming()
except KeyboardInterrupt:
    connection.close()
