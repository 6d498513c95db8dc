//! All definitions in a section of a checkpoint.
//!
//! ```text
//!  | next queue id (varint) | count (varint) | definition (postcard) | ...
//! ```
//!
//! Invariants
//! - They are written and read one after the other: a million of them are never in memory at once.

use ferry_core::image::{Image, ImageOut};

use super::Definition;

/// Definitions as they are written.
#[derive(Default)]
pub(crate) struct ImageWriter {
    count: u64,
    image: Image,
}

impl ImageWriter {
    /// Adds definitions behind those that are there.
    pub fn add(&mut self, definitions: impl IntoIterator<Item = Definition>) {
        for definition in definitions {
            self.count += 1;
            let tail = self.image.tail();
            *tail = postcard::to_extend(&definition, std::mem::take(tail))
                .expect("definitions are plain data");
        }
    }

    /// The section.
    pub fn finish(mut self, next_queue_id: u64) -> Image {
        let head = postcard::to_stdvec(&(next_queue_id, self.count)).expect("these are numbers");
        let mut all = Image::default();
        all.tail().extend(head);
        all.append(&mut self.image);
        all
    }
}

/// Hands every definition of a section to `each` and says which queue id comes next.
pub(crate) fn read_image(
    bytes: &[u8],
    mut each: impl FnMut(Definition) -> Result<(), String>,
) -> Result<u64, String> {
    let cut = |error: postcard::Error| format!("definitions: {error}");
    let ((next_queue_id, count), mut rest): ((u64, u64), _) =
        postcard::take_from_bytes(bytes).map_err(cut)?;
    for _ in 0..count {
        let (definition, behind) = postcard::take_from_bytes(rest).map_err(cut)?;
        each(definition)?;
        rest = behind;
    }
    Ok(next_queue_id)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ferry_core::routing::QueueId;
    use serde::{Deserialize, Serialize};

    use super::*;

    /// The section as it was defined first: data directories have it.
    #[derive(Debug, Serialize, Deserialize)]
    struct DefinitionsImage {
        next_queue_id: u64,
        definitions: Vec<Definition>,
    }

    fn deleted(id: u64) -> Definition {
        Definition::QueueDeleted {
            vhost: Arc::from("/"),
            id: QueueId(id),
        }
    }

    #[test]
    fn definitions_one_by_one_are_the_same_bytes_as_all_at_once() {
        for count in [0, 1, 200] {
            let mut writer = ImageWriter::default();
            writer.add((0..count).map(deleted));
            let bytes = writer.finish(70_000).into_pieces().concat();
            let whole = DefinitionsImage {
                next_queue_id: 70_000,
                definitions: (0..count).map(deleted).collect(),
            };
            assert_eq!(bytes, postcard::to_stdvec(&whole).unwrap(), "{count}");
            let mut ids = Vec::new();
            let next = read_image(&bytes, |definition| {
                let Definition::QueueDeleted { id, .. } = definition else {
                    return Err("another one".to_owned());
                };
                ids.push(id.0);
                Ok(())
            });
            assert_eq!(next, Ok(70_000));
            assert!(ids.into_iter().eq(0..count));
        }
    }

    #[test]
    fn a_cut_section_is_refused() {
        let mut writer = ImageWriter::default();
        writer.add((0..3).map(deleted));
        let bytes = writer.finish(9).into_pieces().concat();
        for len in 0..bytes.len() {
            assert!(read_image(&bytes[..len], |_| Ok(())).is_err(), "{len}");
        }
    }
}
