//! Stack files: plain compose files for `docker stack deploy`, with an `x-matou` extension that
//! Docker ignores.

// Stricter than Cargo.toml is with tests, benches and examples.
#![cfg_attr(
    not(test),
    deny(
        clippy::disallowed_macros,
        clippy::disallowed_methods,
        clippy::expect_used,
        clippy::print_stderr,
        clippy::print_stdout,
        clippy::unwrap_used
    )
)]

matou_i18n::catalogue!();

mod adopt;
mod amounts;
mod app;
mod app_domains;
mod app_name;
mod catalogue;
mod catalogue_texts;
mod compose_check;
mod compose_rules;
mod compose_schema;
mod compose_values;
mod compose_version;
mod compose_yaml;
mod edge_labels;
mod edge_settings;
#[cfg(test)]
#[path = "../tests/engine_client/mod.rs"]
mod engine_client;
mod environment;
mod error;
mod extension;
mod file_variables;
mod files;
mod hidden_variables;
mod image_facts;
mod interpolate;
mod labels;
mod lifecycle;
mod line_index;
mod lint;
mod migrate;
mod name_labels;
mod networks;
mod page_labels;
mod password_hashes;
mod plain_compose;
mod refusals;
mod rehearsed;
mod render;
mod rendered;
mod requirements;
mod safety;
mod scheduled_jobs;
mod stack_file;
mod subset;
mod swarm_rules;
mod traefik1;
mod traefik1_router;
mod traefik1_rule;
mod traefik1_values;
mod traefik_check;
mod traefik_keys;
mod traefik_labels;
mod traefik_regexp;
mod traefik_rules;
mod unsaved_mounts;
mod volumes;
mod yaml_source;

pub use adopt::{FoundApp, is_database_image};
pub use app::AppFile;
pub use app_domains::{AppDomains, ExtraNames, NameChanges, WwwName};
pub use app_name::{AppName, is_app_name};
pub use catalogue::{Adoption, Catalogue, CatalogueEntry, KeptReplicas};
pub use catalogue_texts::{list_stack_texts, translate_stack_text};
pub use edge_settings::{EdgeSettings, has_http_router};
pub use error::StackError;
pub use extension::{
    AdoptedStack, Alphabet, BackupSpec, Category, Dump, DumpEngine, Extension, HttpCheck,
    KnownTrouble, LoginRequest, RenameSpec, RouteLabels, SecretSpec, UpdateSpec, Variable,
    VariableKind,
};
pub use files::{FileSecret, NeededConfig};
pub use image_facts::{CodePlace, ImageFacts, KnownImages};
pub use interpolate::{InterpolationError, escape_dollars, interpolate};
pub use lifecycle::{ReleaseLine, find_release_line};
pub use lint::{LintFinding, LintSeverity};
pub use migrate::migrate_file;
pub use page_labels::{PAGE_PORT, PageExceptions, page_labels};
pub use plain_compose::{PlainComposeFile, render_plain_compose};
pub use rehearsed::REHEARSAL_LABEL;
pub use render::{HASH_LABEL, RenderTarget};
pub use rendered::{
    AppLogin, GUARD_SECRET, GUARD_USER, NeededSecret, RenderedService, RenderedStack,
};
pub use requirements::{ServiceRequirements, place_constraint};
pub use scheduled_jobs::JobSpec;
pub use traefik1::{Backends, Labels, MigratedLabels, is_traefik1_label, migrate_labels};
pub use volumes::{StackVolumes, VolumeDefinition, external_volume_name};
