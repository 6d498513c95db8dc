//! What happens to the queue and its model.

use super::*;

impl World {
    fn publish(&mut self) {
        let room = ALIVE_MAX.saturating_sub(self.alive.len() as u64);
        for _ in 0..room.min(1 + self.rng.below(6)) {
            // What comes while there are no shards has no key.
            let key = self.rng.below(KEYS) * u64::from(self.keyed);
            let priority = self.rng.below(3) as u8;
            let number = self.bench.published + 1;
            self.bench
                .messages
                .resize(number as usize + 1, Arguments::new());
            let size = self.rng.below(3) as i64;
            let headers = &mut self.bench.messages[number as usize];
            headers.insert("size", Value::I64(size));
            if key != 0 {
                let header = super::super::key(key as i64);
                headers.insert(header.0, header.1);
            }
            let priority = self.bench.queue.options().level(priority);
            let message = Message {
                key,
                priority,
                size,
                state: State::Ready,
            };
            self.alive.insert(number, message);
            let ttl_ms = (self.rng.below(6) == 0).then(|| 1 + self.rng.below(1_500));
            self.bench.publish_number(true, priority, ttl_ms);
            self.notice();
        }
    }

    fn come(&mut self) {
        if self.takers.len() == 6 {
            return;
        }
        let id = self.next_id;
        self.next_id += 1;
        let no_ack = self.rng.below(8) == 0;
        let subscription = Subscription {
            id: ConsumerId(id),
            no_ack,
            exclusive: false,
            priority: (self.rng.below(4) == 0) as i32,
            prefetch: self.rng.below(5) as u32,
        };
        let now = self.bench.now;
        let size_min = [0, 0, 1, 2][self.rng.below(4) as usize];
        let choice = match size_min {
            0 => Choice::default(),
            _ => wanting(&format!("size >= {size_min}")),
        };
        let slot = self
            .bench
            .queue
            .subscribe(subscription, choice, now)
            .unwrap();
        self.takers.push(Taker {
            id,
            slot,
            no_ack,
            prefetch: subscription.prefetch,
            size_min,
        });
        self.bench.run(|queue, cx| queue.deliver_ready(cx));
        self.is_even();
    }

    /// A consumer goes; if it is lost, what it holds comes back in some order.
    fn go(&mut self, lost: bool) {
        let Some(taker) = self.rng.pick(&self.takers) else {
            return;
        };
        self.takers.retain(|other| other.id != taker.id);
        let slot = taker.slot;
        self.bench.run(|queue, cx| queue.unsubscribe(slot, cx));
        self.is_even();
        self.notice();
        while let held = self.out_of(|holder| lost && holder == taker.id)
            && let Some((number, lease)) = self.rng.pick(&held)
        {
            self.settle(number, lease, Outcome::Requeue);
        }
    }

    fn out_of(&self, wanted: impl Fn(u64) -> bool) -> Vec<(u64, LeaseId)> {
        let out = |(number, message): (&u64, &Message)| match message.state {
            State::Out(holder, lease) if wanted(holder) => Some((*number, lease)),
            _ => None,
        };
        self.alive.iter().filter_map(out).collect()
    }

    /// A lease of the message ended and the message is in the queue again.
    fn came_back(&mut self, number: u64, state: State) {
        let message = self.alive.get_mut(&number).unwrap();
        message.state = state;
        self.paused.insert(message.key);
        self.forget_pauses();
    }

    fn forget_pauses(&mut self) {
        let out = self.alive.values();
        let out = out.filter(|message| matches!(message.state, State::Out(..)));
        let out: BTreeSet<u64> = out.map(|message| message.key).collect();
        self.paused.retain(|key| out.contains(key));
    }

    fn settle(&mut self, number: u64, lease: LeaseId, outcome: Outcome) {
        let State::Out(holder, _) = self.alive[&number].state else {
            panic!("it is out");
        };
        if let Some(unsettled) = self.unsettled.get_mut(&holder) {
            *unsettled -= 1;
        }
        self.bench.settle(lease, outcome);
        let state = match outcome {
            Outcome::Requeue if self.retry_ms > 0 => State::Waiting,
            Outcome::Delay(_) => State::Waiting,
            _ => State::Ready,
        };
        self.lease_ended(number, state);
        self.notice();
    }

    /// A lease of the message ended, which is gone now or in the queue again.
    fn lease_ended(&mut self, number: u64, state: State) {
        let mut released = self.bench.released.iter();
        let was_released = released.any(|mark| number_at(mark.position) == number);
        let handed_on = self.bench.effects.iter().any(|effect| match effect {
            Effect::Deliver(_, out) => number_of(&self.bench.staged, &out.body) == number,
            _ => false,
        });
        if was_released && !handed_on {
            self.alive.remove(&number);
            self.forget_pauses();
        } else {
            self.came_back(number, state);
        }
    }

    fn settle_some(&mut self) {
        let mut out = self.out_of(|_| true);
        out.retain(|(_, lease)| Some(*lease) != self.borrowed);
        if let Some((number, lease)) = self.rng.pick(&out) {
            let outcome = match self.rng.below(8) {
                0 | 1 => Outcome::Requeue,
                2 => Outcome::Delay(Some(1 + self.rng.below(900))),
                3 => Outcome::Reject,
                _ => Outcome::Accept,
            };
            self.settle(number, lease, outcome);
        }
        if let Some((holder, lease)) = self.lost.pop() {
            self.bench.settle(lease, Outcome::Accept);
            *self.unsettled.entry(holder).or_default() -= 1;
            self.notice();
        }
    }

    fn get(&mut self) {
        let no_ack = self.rng.below(2) == 0;
        let got = self.bench.get(no_ack);
        self.note_expired();
        let number = got
            .as_ref()
            .map(|out| number_of(&self.bench.staged, &out.body));
        for mark in self.bench.released.drain(..) {
            if Some(number_at(mark.position)) != number {
                self.alive.remove(&number_at(mark.position));
            }
        }
        let free = |message: &Message| self.is_free(message.key);
        let Some(out) = got else {
            let mut ready = self
                .alive
                .values()
                .filter(|message| message.state == State::Ready);
            assert!(!ready.any(free), "there was one to get");
            return;
        };
        let number = number.unwrap();
        assert!(free(&self.alive[&number]), "{number} was not to be got");
        self.is_in_order(0, number);
        match out.lease {
            Some(lease) => self.alive.get_mut(&number).unwrap().state = State::Out(0, lease),
            None => drop(self.alive.remove(&number)),
        }
    }

    fn is_free(&self, key: u64) -> bool {
        let mut all = self.of_key(key);
        !self.keyed || key == 0 || all.all(|(_, other)| other.state == State::Ready)
    }

    fn borrow(&mut self) {
        let mut spots = Vec::new();
        self.bench.queue.visit_ready(None, |entry| {
            let (priority, seq) = (entry.priority, entry.seq);
            spots.push((Spot::Ready { priority, seq }, entry.position()));
            true
        });
        self.bench.queue.visit_delayed(None, |at, entry| {
            let seq = entry.seq;
            spots.push((Spot::Delayed { at, seq }, entry.position()));
            true
        });
        let Some((spot, body)) = self.rng.pick(&spots) else {
            return;
        };
        let out = self.bench.run(|queue, cx| queue.borrow(spot, body, cx));
        let out = out.expect("it was just seen");
        let number = number_of(&self.bench.staged, &out.body);
        let lease = out.lease.unwrap();
        self.alive.get_mut(&number).unwrap().state = State::Out(0, lease);
        // What was taken by hand keeps everybody from more of its key.
        self.paused.insert(self.alive[&number].key);
        self.borrowed = Some(lease);
        (0..self.rng.below(3)).for_each(|_| self.settle_some());
        self.borrowed = None;
        match (self.rng.below(2), spot) {
            (0, _) => self.settle(number, lease, Outcome::Accept),
            (_, Spot::Delayed { .. }) => {
                self.came_back(number, State::Waiting);
                self.bench.settle(lease, Outcome::Release);
                self.notice();
            }
            _ => self.settle(number, lease, Outcome::Release),
        }
    }

    pub(super) fn pass_time(&mut self) {
        self.bench.now += self.rng.below(400);
        let now = self.bench.now;
        let mut back = Vec::new();
        self.bench.queue.visit_delayed(None, |at, entry| {
            if at <= now {
                back.push(number_at(entry.position().unwrap()));
            }
            true
        });
        for number in back {
            self.alive.get_mut(&number).unwrap().state = State::Ready;
        }
        let mut overdue = Vec::new();
        self.bench.queue.visit_leased(None, |lease, entry, info| {
            if info.deadline != 0 && info.deadline <= now {
                let number = number_at(entry.position().unwrap());
                overdue.push((number, lease));
            }
            true
        });
        self.bench.run(|queue, cx| queue.tick(cx));
        for (number, lease) in overdue {
            if let State::Out(holder @ 1.., _) = self.alive[&number].state {
                self.lost.push((holder, lease));
            }
            let state = match self.retry_ms {
                0 => State::Ready,
                _ => State::Waiting,
            };
            self.lease_ended(number, state);
        }
        self.notice();
    }

    fn change_policy(&mut self, seed: u64) {
        let counts = [None, Some(2), Some(5), Some(64)];
        let count = counts[self.rng.below(4) as usize];
        let options = Arc::new(options(seed, count, self.retry_ms));
        if *options == *self.bench.queue.options() {
            return;
        }
        self.keyed = count.is_some();
        // Of what is out now nobody gets more until all is settled.
        if self.keyed {
            let keys: Vec<u64> = self.alive.values().map(|message| message.key).collect();
            self.paused.clear();
            for key in keys {
                let out = self
                    .of_key(key)
                    .filter_map(|(_, message)| match message.state {
                        State::Out(holder, _) => Some(holder),
                        _ => None,
                    });
                let out: BTreeSet<u64> = out.collect();
                if !out.is_empty() {
                    self.paused.insert(key);
                }
            }
        }
        self.bench.run(|queue, cx| queue.set_options(options, cx));
        self.notice();
        self.is_even();
    }

    fn gate(&mut self) {
        let before = self.bench.shut as u64;
        let next = self.rng.pick(&self.takers).map_or(0, |taker| taker.id);
        self.bench.shut = if self.rng.below(2) == 0 { next } else { 0 } as usize;
        let resumed = self.takers.iter().find(|taker| taker.id == before);
        if let Some(slot) = resumed.map(|taker| taker.slot) {
            self.bench.run(|queue, cx| queue.resume(slot, cx));
        }
    }

    /// The broker stops and starts again: all that was out is back.
    pub(super) fn restart(&mut self) {
        let mut recovering = Recovering::new(QueueId(1), self.bench.queue.options().clone(), 0);
        if self.rng.below(2) == 0 {
            self.bench.queue = self.bench.recovered(self.rng.below(2) == 0);
        } else {
            let mut image = Vec::new();
            self.bench.queue.write_image(&mut image);
            recovering.read_image(&mut Cursor::new(&image)).unwrap();
            self.bench.queue = recovering.finish(false, |_| ());
        }
        for message in self.alive.values_mut() {
            if matches!(message.state, State::Out(..)) {
                message.state = State::Ready;
            }
        }
        let mut waiting = BTreeSet::new();
        self.bench.queue.visit_delayed(None, |_, entry| {
            waiting.insert(number_at(entry.position().unwrap()));
            true
        });
        let mut here = waiting.clone();
        self.bench.queue.visit_ready(None, |entry| {
            here.insert(number_at(entry.position().unwrap()))
        });
        let before = self.alive.len();
        self.alive.retain(|number, _| here.contains(number));
        let limited = self.bench.queue.options().delivery_limit.is_some();
        assert!(limited || self.alive.len() == before, "all came back");
        for number in waiting {
            self.alive.get_mut(&number).unwrap().state = State::Waiting;
        }
        self.takers.clear();
        self.unsettled.clear();
        self.lost.clear();
        self.paused.clear();
    }

    pub(super) fn step(&mut self, seed: u64) {
        match self.rng.below(100) {
            0..35 => self.publish(),
            35..70 => (0..4).for_each(|_| self.settle_some()),
            70..77 => self.come(),
            77..80 => self.go(false),
            80..83 => self.go(true),
            83..87 => self.get(),
            87..89 => self.borrow(),
            89..95 => self.pass_time(),
            95..97 => self.gate(),
            97 => self.change_policy(seed),
            98 if self.rng.below(4) == 0 => self.restart(),
            _ => {}
        }
        self.notice();
    }
}
