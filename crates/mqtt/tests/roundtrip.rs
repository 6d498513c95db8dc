//! Generated packets: read as they were written, refused when cut, and never a panic.
#![allow(clippy::unwrap_used)]

mod checks;
mod generate;

use generate::Sample;
use mqtt::{DecodeError, For, Packet, Properties, frame, topic};
use proptest::prelude::*;

fn read(sample: &Sample) -> Result<Packet<'_>, DecodeError> {
    let found = frame(&sample.bytes, u32::MAX).unwrap().unwrap();
    assert_eq!(found.size, sample.bytes.len());
    match sample.from_client {
        true => Packet::decode(found, sample.version),
        false => Packet::decode_from_server(found, sample.version),
    }
}

proptest! {
    #[test]
    fn packets_survive_the_wire(sample in generate::sample()) {
        let packet = read(&sample).unwrap();
        let mut out = Vec::new();
        packet.write(&mut out, sample.version).unwrap();
        prop_assert_eq!(&out, &sample.bytes);
        checks::check_packets(&sample.bytes);
    }

    #[test]
    fn packets_cut_short_are_waited_for(
        sample in generate::sample(),
        cut in any::<prop::sample::Index>(),
    ) {
        let end = cut.index(sample.bytes.len());
        prop_assert_eq!(frame(&sample.bytes[..end], u32::MAX), Ok(None));
    }

    #[test]
    fn packets_with_a_byte_changed_are_read_or_refused(
        sample in generate::sample(),
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
    ) {
        let mut bytes = sample.bytes;
        let at = at.index(bytes.len());
        bytes[at] = byte;
        checks::check_packets(&bytes);
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        checks::check_packets(&bytes);
        checks::check_topic(&bytes);
    }

    #[test]
    fn blocks_survive_a_check(block in generate::block(For::Publish)) {
        let parsed = Properties::parse(&block, For::Publish).unwrap();
        prop_assert_eq!(parsed, Properties::from_checked(&block));
        prop_assert_eq!(parsed.as_bytes(), &block[..]);
    }

    #[test]
    fn filters_match_as_they_should(filter in generate::filter(), name in generate::name()) {
        prop_assert_eq!(topic::check_filter(filter.as_bytes()), Ok(()));
        prop_assert_eq!(topic::check_name(name.as_bytes()), Ok(()));
        checks::check_topic(format!("{filter}\n{name}").as_bytes());
    }
}
