//! Looking through a queue in its order without taking anything out that is not settled.
//!
//! What was not settled goes back when the look ends, however it ends: all of it at once, in its order, in front of
//! what has come meanwhile. Until then nobody else is given it.
//!
//! A look takes what was in the queue when it began, so it ends, also if what it settles comes back. It has to keep
//! what it has seen in order to see what is behind. So that no more than a batch is on its way at a time, each batch
//! has a consumer of its own; once it has what it may have it gets nothing more. All are on one channel with tags in
//! the order of their batches: in that order a quorum queue takes back what they had when the channel is closed.

use std::time::Duration;

use futures_util::StreamExt;
use lapin::Channel;
use lapin::options::{BasicConsumeOptions, BasicQosOptions, QueueDeclareOptions};
use lapin::types::FieldTable;

use super::publisher::short;
use super::{Delivery, Error, Link, answered};

/// Messages of the first batch; each further one has twice as many, up to the most.
const FIRST_BATCH: u16 = 500;
const MOST: u16 = 32_000;
/// A quorum queue of RabbitMQ before 4.3 keeps the order of no more than 32 consumers of one channel.
const MOST_BATCHES: u16 = 28;
/// How many consumers it takes to be sure that what was settled is out of the queue; see [`Browse::end`].
const LAST_WORDS: u16 = 3;
/// How long the next message may take to come, before it counts as taken by somebody else.
const PATIENCE: Duration = Duration::from_secs(5);
/// How long the queue may take to have everything back.
const RETURN_PATIENCE: Duration = Duration::from_secs(2);
const RETURN_LOOK: Duration = Duration::from_millis(5);

/// A look through a queue.
#[derive(Debug)]
pub struct Browse {
    channel: Channel,
    queue: String,
    /// Messages that were there and have not been given.
    left: u32,
    others: u32,
    batches: u16,
    size: u16,
    /// How many of the current batch are kept.
    kept: u16,
    /// How many are kept in all.
    all_kept: u32,
    has_settled: bool,
    current: Option<lapin::Consumer>,
}

impl Browse {
    /// Begins a look.
    ///
    /// # Errors
    /// No connection, or no such queue.
    pub async fn begin(link: &Link, queue: &str) -> Result<Self, Error> {
        let channel = link.channel().await?;
        let (ready, others) = count(&channel, queue).await?;
        Ok(Self {
            channel,
            queue: queue.to_owned(),
            left: ready,
            others,
            batches: 0,
            size: 0,
            kept: 0,
            all_kept: 0,
            has_settled: false,
            current: None,
        })
    }

    /// How many of the messages that were there when it began have not been given yet.
    pub fn left(&self) -> u32 {
        self.left
    }

    /// How many others consumed the queue when it began; what they hold is not seen.
    pub fn others(&self) -> u32 {
        self.others
    }

    /// The next message; `None` if there is none, or none comes. It is kept unless it is settled before the next.
    ///
    /// # Errors
    /// The channel broke: everything that was not settled is back in the queue.
    pub async fn next(&mut self) -> Result<Option<Delivery>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        if self.kept == self.size {
            if self.batches == MOST_BATCHES {
                return Ok(None);
            }
            self.next_batch().await?;
        }
        let Some(consumer) = &mut self.current else { return Ok(None) };
        match tokio::time::timeout(PATIENCE, consumer.next()).await {
            Ok(Some(delivery)) => {
                let delivery = delivery.map_err(Error::request("deliver"))?;
                self.left -= 1;
                self.kept += 1;
                self.all_kept += 1;
                Ok(Some(Delivery::new(delivery)))
            }
            Ok(None) => {
                Err(Error::Request { action: "deliver", reason: "the subscription ended: is the queue gone?".into() })
            }
            Err(_) => Ok(None),
        }
    }

    /// Takes a message that was given out of the queue: the last one, or any when no more are asked for.
    ///
    /// # Errors
    /// The channel broke: it is back in the queue.
    pub async fn settle(&mut self, delivery: &Delivery) -> Result<(), Error> {
        if !delivery.ack().await? {
            return Err(Error::Request { action: "take an acknowledgement", reason: "the channel is gone".into() });
        }
        self.kept = self.kept.saturating_sub(1);
        self.all_kept = self.all_kept.saturating_sub(1);
        self.has_settled = true;
        Ok(())
    }

    /// Ends the look: everything that was not settled goes back to its place. Waits until it is there.
    ///
    /// The broker confirms no acknowledgement, and keeps some back when many come at once: those would be lost with
    /// the channel. A consumer, though, is confirmed when the queue has it. So three are made: with the first the queue has what was
    /// sent before; until the second that is known where the rest was kept back, which is sent on then; with the third
    /// the queue has that too.
    ///
    /// # Errors
    /// What was settled last may be in the queue again.
    pub async fn end(self, link: &Link) -> Result<(), Error> {
        let mut settled = Ok(());
        if self.has_settled {
            for number in 0..LAST_WORDS {
                // Behind the batches in the order of tags, and with no more than one message each.
                settled = self.consume(&format!("settled-{number}"), 1).await.map(drop);
                if settled.is_err() {
                    break;
                }
            }
        }
        if let Err(error) = answered("close the channel", self.channel.close(200, "done".into())).await {
            tracing::debug!(%error, "closing the channel failed");
        }
        // Whoever looks next finds it; if somebody else takes it, it need not be waited for.
        let returned = async {
            let channel = link.channel().await?;
            while count(&channel, &self.queue).await?.0 < self.all_kept {
                tokio::time::sleep(RETURN_LOOK).await;
            }
            Ok::<(), Error>(())
        };
        match tokio::time::timeout(RETURN_PATIENCE, returned).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::debug!(%error, "whether the queue has its messages back is not known"),
            Err(_) => tracing::debug!("the queue does not have its messages back yet"),
        }
        settled
    }

    async fn next_batch(&mut self) -> Result<(), Error> {
        let size = if self.size == 0 { FIRST_BATCH } else { self.size.saturating_mul(2).min(MOST) };
        let size = u16::try_from(self.left).unwrap_or(u16::MAX).min(size);
        // The tags' order is that of the batches.
        let tag = format!("look-{:02}", self.batches);
        self.current = Some(self.consume(&tag, size).await?);
        (self.size, self.kept) = (size, 0);
        self.batches += 1;
        Ok(())
    }

    async fn consume(&self, tag: &str, prefetch: u16) -> Result<lapin::Consumer, Error> {
        answered("set the prefetch", self.channel.basic_qos(prefetch, BasicQosOptions { global: false })).await?;
        let (options, none) = (BasicConsumeOptions::default(), FieldTable::default());
        let consuming = self.channel.basic_consume(short(&self.queue)?, short(tag)?, options, none);
        answered("let us consume from the queue", consuming).await
    }
}

/// Messages with no consumer, and consumers.
async fn count(channel: &Channel, queue: &str) -> Result<(u32, u32), Error> {
    let options = QueueDeclareOptions { passive: true, ..Default::default() };
    let declared = channel.queue_declare(short(queue)?, options, FieldTable::default());
    let declared = answered("count the messages of a queue", declared).await?;
    Ok((declared.message_count(), declared.consumer_count()))
}
