//! Requests within a bound: when it is full, the oldest go. Those that the filter keeps are known by
//! their numbers, which stay when old ones go.

use std::collections::VecDeque;

use crate::model::{Access, AccessFilter, Minutes};

/// Requests that are kept.
pub const MOST: usize = 10_000;

/// See the module.
#[derive(Default)]
pub struct Requests {
    all: VecDeque<Access>,
    /// Number of the first that is kept.
    first: u64,
    filter: AccessFilter,
    /// Numbers of those that the filter keeps, ascending.
    kept: VecDeque<u64>,
    minutes: Minutes,
}

impl Requests {
    /// Adds a request as it came.
    pub fn push(&mut self, access: Access) {
        self.minutes.add(&access);
        if self.all.len() == MOST {
            self.all.pop_front();
            if self.kept.front() == Some(&self.first) {
                self.kept.pop_front();
            }
            self.first += 1;
        }
        if self.filter.keeps(&access) {
            self.kept.push_back(self.first + self.all.len() as u64);
        }
        self.all.push_back(access);
    }

    /// Keeps from now on what the filter does.
    pub fn filter(&mut self, filter: AccessFilter) {
        if filter == self.filter {
            return;
        }
        self.filter = filter;
        let numbered = (self.first..).zip(&self.all);
        let kept = numbered.filter(|(_, a)| self.filter.keeps(a));
        self.kept = kept.map(|(n, _)| n).collect();
    }

    /// Whether anything is filtered.
    pub fn is_filtered(&self) -> bool {
        !self.filter.is_empty()
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many older ones were dropped.
    pub fn dropped(&self) -> u64 {
        self.first
    }

    /// How many the filter keeps.
    pub fn count(&self) -> usize {
        self.kept.len()
    }

    /// Where the request of that number, or the next one after it, is among those kept.
    pub fn place(&self, number: u64) -> usize {
        self.kept.partition_point(|n| *n < number)
    }

    /// The number of the request at a place among those kept.
    pub fn number(&self, place: usize) -> Option<u64> {
        self.kept.get(place).copied()
    }

    /// Those that the filter keeps, from a place on, oldest first.
    pub fn kept(&self, from: usize) -> impl DoubleEndedIterator<Item = &Access> {
        let places = self.kept.range(from.min(self.kept.len())..);
        places.filter_map(|n| self.all.get(usize::try_from(n - self.first).ok()?))
    }

    /// Requests of the last minutes, filtered or not.
    pub fn minutes(&self) -> &Minutes {
        &self.minutes
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn access(i: usize) -> Access {
        Access {
            at: jiff::Timestamp::constant(1_795_442_400 + i as i64, 0),
            status: if i.is_multiple_of(10) { 500 } else { 200 },
            method: "GET".into(),
            host: "a.org".into(),
            path: format!("/{i}").into(),
            duration: Duration::from_millis(1),
            client: "192.0.2.7".into(),
            user: "".into(),
            router: "a@swarm".into(),
        }
    }

    #[test]
    fn no_more_than_the_bound_is_kept_with_and_without_a_filter() {
        let mut requests = Requests::default();
        requests.filter(AccessFilter::parse("5xx"));
        (0..MOST + 25).for_each(|i| requests.push(access(i)));
        assert_eq!((requests.len(), requests.dropped()), (MOST, 25));
        assert_eq!(requests.count(), MOST / 10);
        let mut kept = requests.kept(0);
        assert_eq!(&*kept.next().unwrap().path, "/30");
        assert_eq!(&*kept.next_back().unwrap().path, "/10020");
        assert_eq!((requests.number(0), requests.place(31)), (Some(30), 1));
        drop(kept);
        requests.filter(AccessFilter::default());
        assert_eq!(requests.count(), MOST);
        assert_eq!(&*requests.kept(0).next().unwrap().path, "/25");
        assert_eq!(requests.kept(MOST + 5).count(), 0);
    }
}
