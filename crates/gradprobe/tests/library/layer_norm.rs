//! LayerNorm before a branch keeps the gradient's growth to a power law (theory §5).

use super::support::{mean, network, runs, squared_gain};
use gradprobe::check::check;
use gradprobe::diagnose::{Direction, Law, Verdict, trend};
use gradprobe::measure::LayerRun;

/// x ← x + W·LN(x), after a layer that gives x its σ of 1.
fn pre_layer_norm(depth: usize) -> String {
    format!(
        "batch = 8\nseeds = 3\nloss = \"random-cotangent\"\n\
         layers = [{{ linear = 400 }}, {{ repeat = {depth}, residual = [\"layer-norm\", {{ linear = 400 }}] }}]\n\
         input = {{ shape = [400], values = \"normal\" }}\n\
         defaults = {{ init = \"lecun-normal\", bias = false }}\n"
    )
}

fn spine(layers: &[LayerRun]) -> impl Iterator<Item = &LayerRun> {
    layers.iter().filter(|layer| layer.on_spine)
}

/// E ‖g_0‖² / ‖g_L‖² = L + 1.
#[test]
fn the_squared_gradient_of_a_linear_branch_grows_by_the_number_of_blocks() {
    for depth in [10, 30] {
        let runs = runs(&pre_layer_norm(depth), 12);
        let growth = mean(
            runs.iter()
                .map(|run| squared_gain(spine(&run.layers)).exp()),
        );
        let expected = depth as f64 + 1.0;
        assert!(
            (growth / expected - 1.0).abs() < 0.08,
            "{depth} blocks: {growth} against {expected}"
        );
    }
}

#[test]
fn the_growth_is_told_as_a_power_law_of_half() {
    let runs = runs(&pre_layer_norm(100), 3);
    for run in &runs {
        for (direction, sign) in [(Direction::Backward, -1.0), (Direction::Forward, 1.0)] {
            let decades: Vec<f64> = spine(&run.layers)
                .map(|layer| match direction {
                    Direction::Backward => layer.backward_decades.unwrap(),
                    Direction::Forward => layer.forward_decades.unwrap(),
                })
                .collect();
            let law = trend(&decades, direction).unwrap().law;
            assert!(
                matches!(law, Law::PowerLaw { from_input: true, exponent }
                    if (exponent - 0.5 * sign).abs() < 0.06),
                "{direction:?}: {law:?}"
            );
        }
    }
    let diagnosis = check(&network(&pre_layer_norm(100)), 0, &mut |_| {})
        .unwrap()
        .diagnosis;
    assert_eq!(diagnosis.verdict, Verdict::Healthy);
    let law = diagnosis.backward.unwrap().law;
    assert!(matches!(law, Law::PowerLaw { .. }), "{law:?}");
}

/// After the sum the norm keeps both signals as they are: with a branch of the stream's size it
/// divides the gradient by √2 as often as the sum multiplies it.
#[test]
fn after_the_sum_layer_norm_undoes_what_the_sum_adds() {
    let text = pre_layer_norm(30).replace(
        "residual = [\"layer-norm\", { linear = 400 }] }",
        "layers = [{ residual = [{ linear = 400 }] }, \"layer-norm\"] }",
    );
    let growth = mean(
        runs(&text, 6)
            .iter()
            .map(|run| squared_gain(spine(&run.layers))),
    );
    assert!(growth.abs() < 0.5, "{growth}");
}
