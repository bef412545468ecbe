//! The subcommands that are a request and nothing more, and what else of their arguments is checked.

use clap::{Command, Error};

use super::CliCommand;
use super::job::JobOptions;
use matou_model::{Availability, PageKind, Role};
use matou_ops::{BudgetChange, Request};
use matou_provision::ProvisionOptions;

impl CliCommand {
    /// Checks what the definitions of the arguments can't say.
    ///
    /// # Errors
    /// As of clap's own checks.
    pub(super) fn check_arguments(&self, cli: &mut Command) -> Result<(), Error> {
        let (name, fault) = match self {
            Self::Deploy {
                target,
                app,
                variables,
                names,
                ..
            } => {
                let fault = target.find_fault(app.as_ref(), variables, false);
                ("deploy", fault.or_else(|| target.find_names_fault(names)))
            }
            Self::Diff {
                target,
                app,
                variables,
            } => ("diff", target.find_fault(app.as_ref(), variables, true)),
            _ => return Ok(()),
        };
        let Some((kind, message)) = fault else {
            return Ok(());
        };
        cli.build();
        Err(match cli.find_subcommand_mut(name) {
            Some(subcommand) => subcommand.error(kind, message),
            None => cli.error(kind, message),
        })
    }

    /// Returns the request that the subcommand makes, with its options; `None` where it does
    /// something else, or something before.
    pub(super) fn to_request(&self) -> Option<(Request, &JobOptions)> {
        self.to_app_request()
            .or_else(|| self.to_service_request())
            .or_else(|| self.to_node_request())
            .or_else(|| self.to_server_request())
    }

    /// What is about an application.
    fn to_app_request(&self) -> Option<(Request, &JobOptions)> {
        Some(match self {
            Self::Deploy {
                target,
                app,
                variables,
                names,
                options,
            } => (
                target.to_request(app.as_ref(), variables, names.to_changes(&[])),
                options,
            ),
            Self::Redeploy {
                app,
                variables,
                switches,
                names,
                drop_name,
                options,
            } => {
                let request = Request::Redeploy {
                    app: app.clone(),
                    variables: variables.iter().cloned().collect(),
                    switches: switches.to_edge_settings(),
                    names: Box::new(names.to_changes(drop_name)),
                    rotate: Vec::new(),
                };
                (request, options)
            }
            Self::Switch {
                app,
                switches,
                options,
            } => {
                let (app, switches) = (app.clone(), switches.to_edge_settings());
                (Request::Switch { app, switches }, options)
            }
            Self::Update {
                app,
                itself: true,
                options,
                ..
            } => (Request::SelfUpdate { app: app.clone() }, options),
            Self::Adopt {
                apps,
                traefik,
                options,
                ..
            } => {
                let (apps, routes) = (apps.clone(), *traefik);
                (Request::Adopt { apps, routes }, options)
            }
            Self::Rename {
                app,
                to,
                forget,
                options,
            } => {
                let (app, name, forget) = (app.clone(), to.clone(), *forget);
                (Request::Rename { app, name, forget }, options)
            }
            Self::Budget {
                app,
                size,
                enforce,
                no_enforce,
                options,
            } => {
                let change = BudgetChange {
                    size: (size != "none").then(|| size.clone()),
                    enforce: match (enforce, no_enforce) {
                        (true, _) => Some(true),
                        (_, true) => Some(false),
                        _ => None,
                    },
                };
                let app = app.clone();
                (Request::Budget { app, change }, options)
            }
            Self::Place { app, to, options } => {
                let to = (to != "anywhere").then(|| to.clone());
                let app = app.clone();
                (Request::Place { app, to }, options)
            }
            Self::Page {
                app,
                to,
                html,
                allow,
                options,
            } => {
                let request = Request::Page {
                    app: app.clone(),
                    kind: PageKind::from_word(to),
                    html: html.clone(),
                    allow: allow.clone(),
                };
                (request, options)
            }
            Self::Remove {
                app,
                volumes,
                options,
            } => {
                let (app, volumes) = (app.clone(), volumes.clone());
                (Request::Remove { app, volumes }, options)
            }
            _ => return self.to_app_copy_request(),
        })
    }

    /// What is about an application's data.
    fn to_app_copy_request(&self) -> Option<(Request, &JobOptions)> {
        Some(match self {
            Self::Export {
                app,
                into,
                snapshot,
                database_files,
                options,
            } => {
                let request = Request::Export {
                    app: app.clone(),
                    into: into.clone(),
                    snapshot: snapshot.clone(),
                    database_files: *database_files,
                };
                (request, options)
            }
            Self::Erase { app, options } => (Request::Erase { app: app.clone() }, options),
            Self::Verify { apps, options } => (Request::Verify { apps: apps.clone() }, options),
            _ => return None,
        })
    }

    /// What is about one service.
    fn to_service_request(&self) -> Option<(Request, &JobOptions)> {
        Some(match self {
            Self::Rollback { service, options } => {
                let service = service.clone();
                (Request::Rollback { service }, options)
            }
            Self::Scale {
                service,
                replicas,
                options,
            } => {
                let (service, replicas) = (service.clone(), *replicas);
                (Request::Scale { service, replicas }, options)
            }
            Self::Restart { service, options } => {
                let service = service.clone();
                (Request::Restart { service }, options)
            }
            _ => return None,
        })
    }

    /// What is about a node in the swarm.
    fn to_node_request(&self) -> Option<(Request, &JobOptions)> {
        let availability = |node: &str, to| Request::Availability {
            node: node.to_owned(),
            to,
        };
        let role = |node: &str, to| Request::Role {
            node: node.to_owned(),
            to,
        };
        Some(match self {
            Self::Drain { node, options } => (availability(node, Availability::Drain), options),
            Self::Activate { node, options } => (availability(node, Availability::Active), options),
            Self::Pause { node, options } => (availability(node, Availability::Pause), options),
            Self::Promote { node, options } => (role(node, Role::Manager), options),
            Self::Demote { node, options } => (role(node, Role::Worker), options),
            Self::Leave { node, options } => (Request::Leave { node: node.clone() }, options),
            Self::RemoveNode { node, options } => {
                (Request::RemoveNode { node: node.clone() }, options)
            }
            Self::Reboot { node, options } => (Request::Reboot { node: node.clone() }, options),
            Self::Upgrade { node, options } => (Request::Upgrade { node: node.clone() }, options),
            _ => return None,
        })
    }

    /// What is about the servers themselves.
    fn to_server_request(&self) -> Option<(Request, &JobOptions)> {
        Some(match self {
            Self::Provision {
                only,
                skip,
                nodes,
                accept,
                options,
            } => {
                let asked = ProvisionOptions {
                    only: only.clone(),
                    skip: skip.clone(),
                    nodes: nodes.clone(),
                    accept: accept.clone(),
                };
                (Request::Provision { options: asked }, options)
            }
            Self::Unban {
                address,
                node,
                options,
            } => {
                let (address, node) = (address.clone(), node.clone());
                (Request::Unban { address, node }, options)
            }
            Self::Clean {
                nodes,
                volumes,
                options,
            } => {
                let (nodes, volumes) = (nodes.clone(), volumes.clone());
                (Request::Clean { nodes, volumes }, options)
            }
            _ => return None,
        })
    }
}
