//! Which policies a model can follow.

use lm_infinite::model::ModelConfig;
use lm_infinite::policy::PolicySpec;
use lm_infinite::session::check_policy;

/// Why the model cannot follow a policy, if it is known and cannot. What is no policy is refused elsewhere, where it is typed.
pub fn refusal(config: Option<&ModelConfig>, policy: &str) -> Option<String> {
    let config = config?;
    let spec = PolicySpec::parse(policy.trim(), config.trained_length).ok()?;
    check_policy(config, &spec.policy).err().map(|reason| reason.to_string())
}
