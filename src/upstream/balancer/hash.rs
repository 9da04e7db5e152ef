//! The same backend for the same key: a Maglev table (Eisenbud and others, NSDI 2016, section 3.4).
//!
//! Every backend has a permutation of the places of the table. In turn, more often the higher its weight, each takes the first
//! place in its permutation that is free. So the places are shared exactly by weight, and a backend that comes or goes moves
//! little more than its own share of keys.
//!
//! The permutation depends only on the backend's name: gateways with the same backends build the same table, whatever their
//! order in the file.

use std::sync::OnceLock;

use sha2::{Digest, Sha256};

use super::Field;
use crate::upstream::Member;

/// How many places a table has: a prime, so that a permutation with any step reaches every place. It must never change, as tables
/// of different sizes are unrelated. A backend with a share of 1/2,621 has 100 places.
pub(super) const SIZE: usize = 262_147;

/// The fewest rounds that fill a table.
const ROUNDS: usize = 100;

/// How many priorities have their tables filled in advance; the others' are filled on first use: the DNS may give a pool
/// hundreds of priorities, and what a table costs is in docs/operations.md, Sizing.
const FILLED: usize = 4;

/// The tables of a pool.
#[derive(Debug)]
pub(in crate::upstream) struct Maglev {
    /// One for each priority, the best first, so that a spare backend that comes or goes moves no keys of the others.
    tables: Vec<Table>,
    /// Those of each member.
    identities: Vec<Identity>,
}

/// The backends of one priority.
#[derive(Debug)]
struct Table {
    /// The indices of its members, by their names.
    order: Vec<usize>,
    /// The index of the member at each place.
    places: OnceLock<Vec<u32>>,
}

impl Maglev {
    pub(super) fn new(members: &[Member]) -> Self {
        let table = |priority: u16| {
            let is_such = |index: &usize| members[*index].priority() == priority;
            let mut order: Vec<usize> = (0..members.len()).filter(is_such).collect();
            order.sort_unstable_by_key(|index| members[*index].name());
            Table {
                order,
                places: OnceLock::new(),
            }
        };
        let maglev = Self {
            tables: Field::priorities(members).into_iter().map(table).collect(),
            identities: members.iter().map(Identity::of).collect(),
        };
        for table in maglev.tables.iter().take(FILLED) {
            maglev.places(table);
        }
        maglev
    }

    /// The places of a table, which is filled if it is not yet.
    fn places<'a>(&'a self, table: &'a Table) -> &'a [u32] {
        table.places.get_or_init(|| match table.order[..] {
            // A single backend has all keys.
            [only] => vec![small(only)],
            _ => fill(&self.identities, &table.order),
        })
    }

    /// The backend at the place of the key, or at the first place after it whose backend may be chosen. During a slow start a
    /// backend takes a part of its keys that grows with its weight, so that keys move to it only once.
    pub(super) fn pick(&self, field: &Field<'_>) -> Option<usize> {
        let mut tables = self.tables.iter();
        tables.find_map(|table| self.pick_of(table, field))
    }

    fn pick_of(&self, table: &Table, field: &Field<'_>) -> Option<usize> {
        if !table.order.iter().any(|index| field.weight(*index) > 0) {
            return None;
        }
        let places = self.places(table);
        let (before, after) = places.split_at(place_of(field.key, places.len()));
        let mut seen = vec![false; self.identities.len()];
        let mut unseen = table.order.len();
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
        let lot = spread(field.key ^ self.identities[index].salt) % u64::from(full);
        lot < weight
    }
}

/// The weight of a backend, and numbers derived from its name.
#[derive(Debug)]
struct Identity {
    weight: usize,
    offset: u64,
    step: u64,
    /// So that members that start slowly take different keys.
    salt: u64,
}

impl Identity {
    fn of(member: &Member) -> Self {
        let digest = Sha256::digest(member.name().as_bytes());
        Self {
            weight: member.weight() as usize,
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
fn fill(identities: &[Identity], order: &[usize]) -> Vec<u32> {
    const FREE: u32 = u32::MAX;
    let own = order.iter().map(|index| identities[*index].weight);
    let lightest = own.clone().min().unwrap_or_default();
    // The credit that a place costs: high enough for the table not to be full after a few rounds.
    let price = lightest.max(own.sum::<usize>() * ROUNDS / SIZE);
    let mut next: Vec<usize> = identities
        .iter()
        .map(|it| place_of(it.offset, SIZE))
        .collect();
    let mut credits = vec![0; identities.len()];
    let mut table = vec![FREE; SIZE];
    let mut free = SIZE;
    for index in order.iter().copied().cycle() {
        credits[index] += identities[index].weight;
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

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;
    use crate::upstream::balancer::{Purpose, Reach};
    use crate::upstream::fixtures::member_of_priority;

    #[test]
    fn spare_backends_of_the_last_priorities_cost_nothing_until_they_are_needed() {
        let member = |number: u16| member_of_priority(number / 2, &format!("b{number}"), 1, 0);
        let members: Vec<Member> = (0..20).map(member).collect();
        let maglev = Maglev::new(&members);
        let filled = || {
            let tables = maglev.tables.iter();
            tables.filter(|table| table.places.get().is_some()).count()
        };
        assert_eq!(filled(), FILLED);
        let field = Field {
            members: &members,
            failed: &[],
            has_made_trial: false,
            reach: Reach::Untried,
            purpose: Purpose::Session,
            key: 7,
            now: Instant::now(),
            priority: Some(9),
        };
        let chosen = maglev.pick(&field).expect("one of two");
        assert!([18, 19].contains(&chosen));
        assert_eq!(filled(), FILLED + 1);
        // It is the same as where it is the only priority.
        let alone = Maglev::new(&members[18..]);
        let field = Field {
            members: &members[18..],
            ..field
        };
        assert_eq!(alone.pick(&field), Some(chosen - 18));
    }
}
