//! Gains by the name of the nonlinearity.

/// The names that [`calculate_gain`] knows.
pub const NONLINEARITIES: &[&str] = &[
    "linear",
    "identity",
    "sigmoid",
    "tanh",
    "relu",
    "leaky-relu",
    "selu",
];

/// PyTorch's `torch.nn.init.calculate_gain`: the factor on a weight's standard deviation that is
/// customary before a nonlinearity. `slope` is that of a leaky ReLU below 0 (0.01 if not given).
///
/// These are conventions, not criticality: 5/3 before a tanh makes the backward signal grow by
/// 1.21 a layer in the square, 1 before a sigmoid makes it vanish.
pub fn calculate_gain(nonlinearity: &str, slope: Option<f64>) -> Option<f64> {
    Some(match nonlinearity {
        "linear" | "identity" | "none" | "conv" | "sigmoid" => 1.0,
        "tanh" => 5.0 / 3.0,
        "relu" => std::f64::consts::SQRT_2,
        "leaky-relu" => {
            let slope = slope.unwrap_or(0.01);
            (2.0 / (1.0 + slope * slope)).sqrt()
        }
        "selu" => 0.75,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gains_are_those_of_pytorch() {
        // torch.nn.init.calculate_gain, PyTorch 2.15.
        let gain = |name, slope| calculate_gain(name, slope).expect("known");
        assert_eq!(gain("tanh", None), 1.666_666_666_666_666_7);
        assert_eq!(gain("relu", None), std::f64::consts::SQRT_2);
        assert_eq!(gain("leaky-relu", None), 1.414_142_856_997_835_4);
        assert_eq!(
            gain("leaky-relu", Some(5f64.sqrt())),
            0.577_350_269_189_625_7
        );
        assert_eq!(gain("selu", None), 0.75);
        assert!(
            NONLINEARITIES
                .iter()
                .all(|name| calculate_gain(name, None).is_some())
        );
        assert_eq!(calculate_gain("gelu", None), None);
    }
}
