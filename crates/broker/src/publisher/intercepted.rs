//! Publishing to an exchange that has rules for messages: amend, check, then route.
//!
//! Invariants
//! - Nothing is staged of a message that breaks a rule.
//! - A message is routed as it is after it was amended.

use std::sync::Arc;

use ferry_core::message::{Draft, Message};
use ferry_core::view::MessageView;

use super::{PublishError, Publisher, is_direct_reply};
use crate::intercept::{Broken, Interceptor, Kind, Stamps};
use crate::{Broker, Burst, ConfirmTag, Metrics, Published, RuleBroken};

/// A publish as it came, or as it was amended.
#[derive(Clone, Copy)]
pub(super) struct Publish<'a> {
    pub draft: &'a Draft<'a>,
    pub routing_keys: &'a [&'a [u8]],
    pub view: &'a dyn MessageView,
    pub confirm: Option<ConfirmTag>,
}

impl Burst {
    /// Stages a message as the rules leave it, if it breaks none.
    pub(super) fn publish_intercepted(
        &mut self,
        broker: &Broker,
        publisher: &mut Publisher,
        rules: &Interceptor,
        publish: Publish<'_>,
    ) -> Result<Published, PublishError> {
        let Publish { draft, view, .. } = publish;
        let origin = publisher.origin.clone();
        let stamps = Stamps {
            origin: origin.as_deref(),
            now: broker.now(),
            id: &|| broker.made_up_name(""),
        };
        let amendment = rules.amendment(draft, view, stamps);
        let Some(amendment) = amendment else {
            return self.stage_checked(broker, publisher, rules, publish);
        };
        let format = broker.options.formats.get(draft.format);
        let format = format.expect("whoever brings messages of a format registers it");
        let properties = format.amend(draft.properties, &amendment);
        let draft = &Draft {
            properties: &properties,
            ..*draft
        };
        let mut head = Vec::new();
        Draft {
            body: b"",
            ..*draft
        }
        .encode(&mut head);
        let head = Message::parse(&head).expect("what was encoded is a message");
        let mut staged = None;
        format.view(&head, &mut |view| {
            let amended = Publish {
                draft,
                view,
                ..publish
            };
            staged = Some(self.stage_checked(broker, publisher, rules, amended));
        });
        staged.expect("properties that were read and amended can be read")
    }

    fn stage_checked(
        &mut self,
        broker: &Broker,
        publisher: &mut Publisher,
        rules: &Interceptor,
        publish: Publish<'_>,
    ) -> Result<Published, PublishError> {
        let Publish {
            draft,
            routing_keys,
            view,
            ..
        } = publish;
        let refuse = |publisher: &Publisher, broken| publisher.refuse(broker, draft, broken);
        let kind = rules.check(draft.body, view);
        let kind = kind.map_err(|broken| refuse(publisher, broken))?;
        if is_direct_reply(draft) {
            count(broker, kind);
            return Ok(self.reply_directly(broker, draft));
        }
        let found = publisher.route(draft.exchange, routing_keys, view)?;
        let fits = kind.map_or(Ok(()), |kind| kind.fits(found.queues.len()));
        let (published, noting) = match fits {
            Ok(()) => self.stage_found(broker, &publish, found),
            Err(broken) => return Err(refuse(publisher, broken)),
        };
        self.note_posted(broker, publisher, &publish, noting);
        count(broker, kind);
        Ok(published)
    }
}

fn count(broker: &Broker, kind: Option<Kind>) {
    if let Some(kind) = kind {
        Metrics::add(kind.counter(&broker.metrics), 1);
    }
}

impl Publisher {
    /// The rules of the default exchange.
    pub(super) fn default_rules(&mut self) -> Option<Arc<Interceptor>> {
        let epoch = self.vhost.epoch();
        if self.default_rules.0 != epoch {
            let care = self.vhost.care_of("");
            let rules = care.and_then(|care| care.interceptor.clone());
            self.default_rules = (epoch, rules);
        }
        self.default_rules.1.clone()
    }

    fn refuse(&self, broker: &Broker, draft: &Draft<'_>, broken: Broken) -> PublishError {
        Metrics::add(&broker.metrics.messages_refused, 1);
        let Broken { rule, why } = broken;
        PublishError::RuleBroken(Box::new(RuleBroken {
            exchange: String::from_utf8_lossy(draft.exchange).into_owned(),
            vhost: self.vhost.name.to_string(),
            rule,
            why,
        }))
    }
}
