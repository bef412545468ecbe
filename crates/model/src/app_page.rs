//! The page that visitors see instead of an application. It is a service of its own, and its labels
//! are all that is known of it: see `matou_ops`' module `page`. This file and `fleet` need each other: a swarm holds its
//! pages, and they are read out of its services.

use jiff::Timestamp;
use matou_i18n::tr;
use serde::{Deserialize, Serialize};

use crate::fleet::{Service, Swarm, Task};

/// Header that says, in answers, which page this is; in requests it holds the word that leads past it.
pub const PAGE_HEADER: &str = "X-Matou-Page";

/// What names of stacks that are pages begin with; the application's name follows.
pub const PAGE_STACK_PREFIX: &str = "matou-page-";

/// Label of a page's service: which page it is.
pub const PAGE_KIND_LABEL: &str = "org.matou.page.kind";
/// Label: the job that it is for; missing where somebody asked for the page.
pub const PAGE_JOB_LABEL: &str = "org.matou.page.job";
/// Label: since when it is there.
pub const PAGE_SINCE_LABEL: &str = "org.matou.page.since";
/// Label: the word that leads past it.
pub const PAGE_WAY_IN_LABEL: &str = "org.matou.page.way-in";
/// Label: what it was made of, to tell whether it has to be made anew.
pub const PAGE_CONTENT_LABEL: &str = "org.matou.page.content";

/// Which page visitors see.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PageKind {
    /// It is back soon: 503 with Retry-After, so that nobody forgets the site meanwhile.
    Maintenance,
    /// It is closed: 403. 402 would tell every visitor that somebody has not paid.
    Suspended,
}

impl PageKind {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Maintenance => "maintenance",
            Self::Suspended => "suspended",
        }
    }

    /// The word that people read.
    pub fn word(self) -> &'static str {
        match self {
            Self::Maintenance => tr!("maintenance"),
            Self::Suspended => tr!("suspended"),
        }
    }

    /// The kind that a word names.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Maintenance, Self::Suspended]
            .into_iter()
            .find(|k| k.as_str() == word)
    }

    /// HTTP status code of its answers.
    pub fn status(self) -> u16 {
        match self {
            Self::Maintenance => 503,
            Self::Suspended => 403,
        }
    }
}

/// A page that is there instead of an application.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AppPage {
    /// The application's name.
    pub app: String,
    /// Which page it is.
    pub kind: PageKind,
    /// Title of the job that it is for; `None` where somebody asked for it.
    pub job: Option<String>,
    /// Since when it is there.
    pub since: Option<Timestamp>,
    /// Domains that it answers under.
    pub domains: Vec<String>,
    /// Whether the edge is told to show it: not any more while it is taken away.
    pub shown: bool,
    /// Tasks that serve it.
    pub running: u64,
    /// What its tasks failed with last; empty where nothing is wrong.
    pub trouble: String,
    /// The word that leads past it, in a header of requests.
    #[serde(skip)]
    pub way_in: String,
    /// Hash of what it was made of.
    #[serde(skip)]
    pub content: String,
    /// Id of its service.
    pub service: String,
}

impl AppPage {
    /// Reads what a service's labels say; `None` for one that is no page.
    pub fn from_service(service: &Service) -> Option<Self> {
        let app = service.stack.as_ref()?.strip_prefix(PAGE_STACK_PREFIX)?;
        let label = |name: &str| service.labels.get(name);
        Some(Self {
            app: app.to_owned(),
            kind: PageKind::from_word(label(PAGE_KIND_LABEL)?)?,
            job: label(PAGE_JOB_LABEL).cloned(),
            since: label(PAGE_SINCE_LABEL).and_then(|at| at.parse().ok()),
            domains: service.domains.clone(),
            shown: label("traefik.enable").is_some_and(|on| on == "true"),
            running: service.running,
            trouble: String::new(),
            way_in: label(PAGE_WAY_IN_LABEL).cloned().unwrap_or_default(),
            content: label(PAGE_CONTENT_LABEL).cloned().unwrap_or_default(),
            service: service.id.clone(),
        })
    }

    /// Which page, why and since when, for lists: `maintenance, for restore shop, since …`.
    pub fn describe(&self) -> String {
        let job = self.job.as_ref().map(|job| tr!(" for the job {job:?}"));
        let since = self
            .since
            .map(|at| tr!(" since {}", at.strftime("%Y-%m-%d %H:%M UTC")));
        format!(
            "{}{}{}",
            self.kind.word(),
            job.unwrap_or_default(),
            since.unwrap_or_default()
        )
    }
}

/// Takes the services that are pages out of a list, and their tasks out of theirs: they are no
/// applications, and nothing that is done to applications is done to them.
pub fn take_pages(services: &mut Vec<Service>, tasks: &mut Vec<Task>) -> Vec<AppPage> {
    let mut pages = Vec::new();
    services.retain(|service| match AppPage::from_service(service) {
        Some(page) => {
            pages.push(page);
            false
        }
        None => true,
    });
    for page in &mut pages {
        let own = tasks.iter().filter(|t| t.service_id == page.service);
        let newest = own.filter(|t| !t.error.is_empty()).max_by_key(|t| t.since);
        page.trouble = newest.map(|t| t.error.clone()).unwrap_or_default();
    }
    tasks.retain(|t| pages.iter().all(|p| p.service != t.service_id));
    pages
}

impl Swarm {
    /// Returns the page that is there instead of an application.
    pub fn find_page(&self, app: &str) -> Option<&AppPage> {
        self.pages.iter().find(|p| p.app == app)
    }

    /// Returns the word that leads past the page of a domain; `None` where there is no page.
    pub fn find_way_in(&self, domain: &str) -> Option<String> {
        let has = |p: &&AppPage| p.domains.iter().any(|d| d.eq_ignore_ascii_case(domain));
        let page = self.pages.iter().find(has)?;
        Some(page.way_in.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ServiceMode, TaskState};

    fn service(id: &str, stack: &str, labels: &[(&str, &str)]) -> Service {
        Service {
            id: id.into(),
            name: format!("{stack}_page"),
            stack: Some(stack.into()),
            image: "proxy:1".into(),
            mode: ServiceMode::Global,
            wanted: 1,
            running: 1,
            domains: vec!["a.org".into()],
            labels: labels
                .iter()
                .map(|(k, v)| ((*k).to_owned(), (*v).to_owned()))
                .collect(),
            ..Service::default()
        }
    }

    #[test]
    fn pages_are_no_applications_and_what_only_looks_like_one_is() {
        let kind = (PAGE_KIND_LABEL, "suspended");
        let mut services = vec![
            service("s1", "matou-page-shop", &[kind, (PAGE_WAY_IN_LABEL, "abc")]),
            // A stack of somebody, and an application with the label.
            service("s2", "matou-page-own", &[]),
            service("s3", "shop", &[kind]),
        ];
        let task = |service: &str, error: &str| Task {
            id: service.into(),
            service_id: service.into(),
            slot: None,
            node_id: "n".into(),
            state: TaskState::Running,
            desired: TaskState::Running,
            message: String::new(),
            error: error.into(),
            container_id: None,
            image: String::new(),
            outdated: false,
            exit_code: None,
            ended_unasked: false,
            iteration: None,
            since: None,
        };
        let mut tasks = vec![task("s1", "No such image"), task("s3", "")];
        let pages = take_pages(&mut services, &mut tasks);
        let left: Vec<&str> = services.iter().map(|s| s.id.as_str()).collect();
        assert_eq!(left, ["s2", "s3"]);
        assert_eq!(tasks.len(), 1);
        assert_eq!(pages[0].trouble, "No such image");
        assert_eq!(pages[0].describe(), "suspended");
        let swarm = Swarm {
            pages,
            ..Swarm::default()
        };
        assert!(swarm.find_page("shop").is_some() && swarm.find_page("own").is_none());
        assert_eq!(swarm.find_way_in("A.org").as_deref(), Some("abc"));
        assert_eq!(swarm.find_way_in("b.org"), None);
    }
}
