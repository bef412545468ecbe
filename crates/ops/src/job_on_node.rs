//! The plainest of jobs: one stage on one node.

use matou_docker::NodeHandle;
use matou_job::{Confirm, Job, Stage, Step};

use crate::Request;

/// A job of one stage on one node.
pub(crate) fn build_job_on_node(
    node: &NodeHandle,
    request: &Request,
    confirm: Confirm,
    steps: Vec<Box<dyn Step>>,
) -> Job {
    let stage = Stage::on_node(request.title(), node, steps);
    Job::new(request.title(), confirm, vec![stage])
}
