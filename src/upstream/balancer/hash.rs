//! The same backend for the same key: a Maglev table (Eisenbud and others, NSDI 2016, section 3.4).
//!
//! Every backend has an order of its own in which it would like the places of the table; in turn, more often the more it
//! weighs, each takes the first that is free. So places are shared exactly, and a backend that comes or goes moves little
//! more than its own share of keys.
//!
//! The order follows from the backend's name and from nothing else: gateways with the same configuration build the same
//! table, whatever the order in the file.

use sha2::{Digest, Sha256};

use super::Field;
use crate::upstream::Member;

/// How many places a table has: a prime, so that an order with any step reaches every place, and the same for ever, as
/// two sizes are two unrelated tables. The lightest of backends has 100 places where its share is 1/2,621.
pub(super) const SIZE: usize = 262_147;

/// How many rounds it takes at least to fill a table.
const ROUNDS: usize = 100;

/// Which backend has which place.
#[derive(Debug)]
pub(in crate::upstream) struct Maglev {
    /// One for each priority, the best first: a spare backend that comes or goes moves no key of the others.
    tables: Vec<Table>,
    /// A number for each member that tells its keys apart from those of the others.
    salts: Vec<u64>,
}

/// The backends of one priority.
#[derive(Debug)]
struct Table {
    /// How many there are.
    count: usize,
    /// Indexes of members.
    places: Vec<u32>,
}

impl Maglev {
    pub(super) fn new(members: &[Member]) -> Self {
        let identities: Vec<Identity> = members.iter().map(Identity::of).collect();
        let table = |priority: u16| {
            let is_such = |index: &usize| members[*index].priority() == priority;
            let mut order: Vec<usize> = (0..members.len()).filter(is_such).collect();
            order.sort_unstable_by_key(|index| members[*index].name());
            Table {
                count: order.len(),
                places: match order[..] {
                    // It has them all, and there may be many such priorities.
                    [_] => order.iter().copied().map(small).collect(),
                    _ => fill(members, &identities, order),
                },
            }
        };
        Self {
            tables: Field::priorities(members).into_iter().map(table).collect(),
            salts: identities.iter().map(|identity| identity.salt).collect(),
        }
    }

    /// The backend at the place of the key, or at the first place after it whose backend may be chosen. A backend that starts
    /// slowly takes a part of its keys that grows with its weight, always the same ones first.
    pub(super) fn pick(&self, field: &Field<'_>) -> Option<usize> {
        let mut tables = self.tables.iter();
        tables.find_map(|table| self.pick_of(table, field))
    }

    fn pick_of(&self, table: &Table, field: &Field<'_>) -> Option<usize> {
        let start = place_of(field.key, table.places.len());
        let (before, after) = table.places.split_at(start);
        let mut seen = vec![false; self.salts.len()];
        let mut unseen = table.count;
        let mut held_back = None;
        for index in after.iter().chain(before).map(|index| *index as usize) {
            if std::mem::replace(&mut seen[index], true) {
                continue;
            }
            if self.takes(index, field) {
                return Some(index);
            }
            if held_back.is_none() && field.weight(index) > 0 {
                held_back = Some(index);
            }
            unseen -= 1;
            if unseen == 0 {
                break;
            }
        }
        held_back
    }

    fn takes(&self, index: usize, field: &Field<'_>) -> bool {
        let (weight, full) = (u64::from(field.weight(index)), field.full_weight(index));
        let lot = spread(field.key ^ self.salts[index]) % u64::from(full);
        lot < weight
    }
}

/// What a backend's name makes of it.
struct Identity {
    offset: u64,
    step: u64,
    salt: u64,
}

impl Identity {
    fn of(member: &Member) -> Self {
        let digest = Sha256::digest(member.name().as_bytes());
        Self {
            offset: number_at(&digest, 0),
            step: number_at(&digest, 8),
            salt: number_at(&digest, 16),
        }
    }
}

/// Eight bytes of a digest as a number, the first byte the highest.
pub(super) fn number_at(digest: &[u8], start: usize) -> u64 {
    let bytes = digest[start..start + 8].try_into();
    u64::from_be_bytes(bytes.expect("eight bytes"))
}

/// Gives every place to one of the backends in `order`. In each round a backend takes so many places as its weight is worth.
fn fill(members: &[Member], identities: &[Identity], order: Vec<usize>) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    let weights: Vec<usize> = members
        .iter()
        .map(|member| member.weight() as usize)
        .collect();
    let own = order.iter().map(|index| weights[*index]);
    let lightest = own.clone().min().unwrap_or_default();
    // What a place costs: never so little that a few rounds would fill the table.
    let price = lightest.max(own.sum::<usize>() * ROUNDS / SIZE);
    let mut next: Vec<usize> = identities
        .iter()
        .map(|it| place_of(it.offset, SIZE))
        .collect();
    let mut credits = vec![0; members.len()];
    let mut table = vec![FREE; SIZE];
    let mut free = SIZE;
    for index in order.into_iter().cycle() {
        credits[index] += weights[index];
        let step = place_of(identities[index].step, SIZE - 1) + 1;
        let place = &mut next[index];
        while credits[index] >= price && free > 0 {
            credits[index] -= price;
            while table[*place] != FREE {
                *place = (*place + step) % SIZE;
            }
            table[*place] = small(index);
            free -= 1;
        }
        if free == 0 {
            break;
        }
    }
    table
}

fn small(index: usize) -> u32 {
    u32::try_from(index).expect("fewer backends than places")
}

fn place_of(number: u64, size: usize) -> usize {
    usize::try_from(number % size as u64).expect("less than a size")
}

/// The last step of SplitMix64: every bit of the input changes half of the bits that come out.
fn spread(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
