//! The same backend for the same key: a Maglev table (Eisenbud and others, NSDI 2016, section 3.4).
//!
//! Every backend has a permutation of the places of the table. In turn, more often the higher its weight, each takes the first
//! place in its permutation that is free. So the places are shared exactly by weight, and a backend that comes or goes moves
//! little more than its own share of keys.
//!
//! The permutation depends only on the backend's name: gateways with the same backends build the same table, whatever their
//! order in the file.

use sha2::{Digest, Sha256};

use super::Field;
use crate::upstream::Member;

/// How many places a table has: a prime, so that a permutation with any step reaches every place. It must never change, as tables
/// of different sizes are unrelated. A backend with a share of 1/2,621 has 100 places.
pub(super) const SIZE: usize = 262_147;

/// The fewest rounds that fill a table.
const ROUNDS: usize = 100;

/// The tables of a pool.
#[derive(Debug)]
pub(in crate::upstream) struct Maglev {
    /// One for each priority, the best first, so that a spare backend that comes or goes moves no keys of the others.
    tables: Vec<Table>,
    /// A number for each member, so that members that start slowly take different keys.
    salts: Vec<u64>,
}

/// The backends of one priority.
#[derive(Debug)]
struct Table {
    /// How many backends there are.
    count: usize,
    /// The index of the member at each place.
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
                    // A single backend has all keys; there may be many such priorities.
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

    /// The backend at the place of the key, or at the first place after it whose backend may be chosen. During a slow start a
    /// backend takes a part of its keys that grows with its weight, so that keys move to it only once.
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

/// Numbers derived from a backend's name.
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

/// Eight bytes of a digest as a big-endian number.
pub(super) fn number_at(digest: &[u8], start: usize) -> u64 {
    let bytes = digest[start..start + 8].try_into();
    u64::from_be_bytes(bytes.expect("eight bytes"))
}

/// Gives every place to one of the backends in `order`. In each round a backend takes places in proportion to its weight.
fn fill(members: &[Member], identities: &[Identity], order: Vec<usize>) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    let weights: Vec<usize> = members
        .iter()
        .map(|member| member.weight() as usize)
        .collect();
    let own = order.iter().map(|index| weights[*index]);
    let lightest = own.clone().min().unwrap_or_default();
    // The credit that a place costs: high enough for the table not to be full after a few rounds.
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

/// The final step of SplitMix64: each bit of the input changes about half of the output bits.
fn spread(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}
