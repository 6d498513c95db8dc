//! Decoding and refusing methods. What each method looks like on the wire is in `tests/golden.rs`.

use super::*;
use crate::reply::ReplyCode;
use crate::wire::ShortStr;

fn encoded(method: Method<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    method.encode(&mut out);
    out
}

#[test]
fn names_and_ids_belong_together() {
    assert_eq!(ALL_IDS.len(), 66);
    let mut names = std::collections::HashSet::new();
    for (class_id, method_id) in ALL_IDS {
        let name = Method::name_of(*class_id, *method_id).unwrap();
        assert!(names.insert(name), "{name} twice");
    }
    assert_eq!(Method::name_of(60, 40), Some("basic.publish"));
    assert_eq!(Method::name_of(40, 51), Some("exchange.unbind_ok"));
    assert_eq!(Method::name_of(40, 41), None);
    assert_eq!(
        Method::from(queue::DeclareOk::default()).name(),
        "queue.declare_ok"
    );
}

#[test]
fn only_four_methods_carry_content() {
    let with_content: Vec<_> = ALL_IDS
        .iter()
        .filter(|ids| carries_content(ids.0, ids.1))
        .collect();
    assert_eq!(with_content, [&(60, 40), &(60, 50), &(60, 60), &(60, 71)]);
    assert!(Method::from(basic::Publish::default()).has_content());
    assert!(!Method::from(basic::Ack::default()).has_content());
}

#[test]
fn unknown_ids_are_not_implemented() {
    for (class_id, method_id) in [(60, 41), (61, 10), (0, 0), (40, 41), (60, 200)] {
        let payload = [0, class_id as u8, 0, method_id as u8, 1, 2, 3];
        let error = Method::decode(&payload).unwrap_err();
        assert_eq!(
            error,
            DecodeError::UnknownMethod {
                class_id,
                method_id
            }
        );
        assert_eq!(error.reply_code(), ReplyCode::NotImplemented);
        assert_eq!(error.failed_method(), (class_id, method_id));
    }
}

#[test]
fn fields_cut_short_or_followed_by_more_are_frame_errors() {
    let whole = encoded(
        basic::Ack {
            delivery_tag: 1,
            multiple: true,
        }
        .into(),
    );
    let longer = [&whole[..], &[9]].concat();
    for (payload, expected) in [
        (&whole[..12], "cannot decode <<0,0,0,0,0,0,0,1>>"),
        (&longer[..], "cannot decode <<0,0,0,0,0,0,0,1,1,9>>"),
        (&[0, 60, 0, 40, 0, 0, 200, 1], "cannot decode <<0,0,200,1>>"),
        (&[0, 60], "cannot decode <<0,60>>"),
    ] {
        let error = Method::decode(payload).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert_eq!(error.reply_code(), ReplyCode::FrameError);
    }
}

#[test]
fn names_are_utf8_except_where_content_follows() {
    let bad = ShortStr::new(b"\xFF").unwrap();
    for (method, accepted) in [
        (
            queue::Declare {
                queue: bad,
                ..Default::default()
            }
            .into(),
            false,
        ),
        (
            basic::Consume {
                consumer_tag: bad,
                ..Default::default()
            }
            .into(),
            false,
        ),
        (
            connection::Close {
                reply_text: bad,
                ..Default::default()
            }
            .into(),
            false,
        ),
        (
            basic::Publish {
                routing_key: bad,
                ..Default::default()
            }
            .into(),
            true,
        ),
        (
            basic::Deliver {
                exchange: bad,
                ..Default::default()
            }
            .into(),
            true,
        ),
    ] {
        let method: Method<'_> = method;
        let payload = encoded(method);
        let decoded = Method::decode(&payload);
        assert_eq!(decoded.is_ok(), accepted, "{}", method.name());
        if let Err(error) = decoded {
            assert_eq!(error.to_string(), "Malformed UTF-8 in shortstr");
            assert_eq!(error.failed_method(), method.class_method());
        }
    }
}

#[test]
fn a_frame_holds_the_payload_between_head_and_end() {
    let mut out = vec![0xAA];
    Method::from(channel::CloseOk).write_frame(&mut out, 0x0203);
    assert_eq!(out, [0xAA, 1, 2, 3, 0, 0, 0, 4, 0, 20, 0, 41, 0xCE]);
}
