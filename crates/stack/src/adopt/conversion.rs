//! A service on its way from the engine's description into a file.

use super::shared::SharedObjects;

/// Labels that `docker stack deploy` adds.
pub(super) const STACK_LABEL: &str = "com.docker.stack.namespace";
pub(super) const IMAGE_LABEL: &str = "com.docker.stack.image";

/// A service on its way into a file.
pub(super) struct Conversion<'a> {
    /// Name of the stack; of a single service, its own.
    pub app: &'a str,
    /// The service's name in the file.
    pub name: String,
    /// Whether it is of no stack.
    pub is_single: bool,
    pub shared: &'a mut SharedObjects,
    /// What a compose file can't say.
    pub faults: Vec<String>,
    /// What the engine's client writes in another form: the first change of the file replaces tasks
    /// that it would not have to.
    pub rewritten: Vec<String>,
}
