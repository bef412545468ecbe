//! Keeps a bounded number of requests: the oldest are dropped when it is full. Each has a number,
//! which stays when older ones are dropped; the filter's hits are kept as numbers.

use std::collections::VecDeque;

use crate::follow::NumberedLines;
use matou_model::{AccessFilter, AccessRecord, RecentMinutes};

/// Requests that are kept at most.
pub(super) const MAX_REQUESTS: usize = 10_000;

/// The last requests, and the numbers of those that the filter keeps.
#[derive(Default)]
pub(super) struct RequestBuffer {
    all: VecDeque<AccessRecord>,
    /// Number of the first that is kept.
    first: u64,
    filter: AccessFilter,
    /// Numbers of those that the filter keeps, ascending.
    kept: VecDeque<u64>,
    minutes: RecentMinutes,
}

impl RequestBuffer {
    /// Adds a request as it came.
    pub(super) fn push(&mut self, access: AccessRecord) {
        self.minutes.count_request(&access);
        if self.all.len() == MAX_REQUESTS {
            self.all.pop_front();
            if self.kept.front() == Some(&self.first) {
                self.kept.pop_front();
            }
            self.first += 1;
        }
        if self.filter.matches_record(&access) {
            self.kept.push_back(self.first + self.all.len() as u64);
        }
        self.all.push_back(access);
    }

    /// Sets the filter, and applies it to all requests.
    pub(super) fn set_filter(&mut self, filter: AccessFilter) {
        if filter == self.filter {
            return;
        }
        self.filter = filter;
        let numbered = (self.first..).zip(&self.all);
        let kept = numbered.filter(|(_, a)| self.filter.matches_record(a));
        self.kept = kept.map(|(n, _)| n).collect();
    }

    /// Whether anything is filtered.
    pub(super) fn is_filtered(&self) -> bool {
        !self.filter.is_empty()
    }

    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// How many older ones were dropped.
    pub(super) fn count_dropped(&self) -> u64 {
        self.first
    }

    /// Returns the requests that the filter keeps, from an index on, the oldest first.
    pub(super) fn kept_from(&self, from: usize) -> impl DoubleEndedIterator<Item = &AccessRecord> {
        let places = self.kept.range(from.min(self.kept.len())..);
        places.filter_map(|n| self.all.get(usize::try_from(n - self.first).ok()?))
    }

    /// Returns the counts of the last minutes, of all requests.
    pub(super) fn minutes(&self) -> &RecentMinutes {
        &self.minutes
    }
}

/// Those that the filter keeps.
impl NumberedLines for RequestBuffer {
    fn count(&self) -> usize {
        self.kept.len()
    }

    fn number_at(&self, place: usize) -> u64 {
        let next = self.first + self.all.len() as u64;
        self.kept.get(place).copied().unwrap_or(next)
    }

    fn place_of(&self, number: u64) -> usize {
        self.kept.partition_point(|n| *n < number)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    fn access(i: usize) -> AccessRecord {
        AccessRecord {
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
        let mut requests = RequestBuffer::default();
        requests.set_filter(AccessFilter::parse("5xx"));
        (0..MAX_REQUESTS + 25).for_each(|i| requests.push(access(i)));
        assert_eq!(
            (requests.len(), requests.count_dropped()),
            (MAX_REQUESTS, 25)
        );
        assert_eq!(requests.count(), MAX_REQUESTS / 10);
        let mut kept = requests.kept_from(0);
        assert_eq!(&*kept.next().unwrap().path, "/30");
        assert_eq!(&*kept.next_back().unwrap().path, "/10020");
        assert_eq!((requests.number_at(0), requests.place_of(31)), (30, 1));
        drop(kept);
        requests.set_filter(AccessFilter::default());
        assert_eq!(requests.count(), MAX_REQUESTS);
        assert_eq!(&*requests.kept_from(0).next().unwrap().path, "/25");
        assert_eq!(requests.kept_from(MAX_REQUESTS + 5).count(), 0);
    }
}
