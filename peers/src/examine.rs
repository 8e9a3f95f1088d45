//! What gradprobe makes of an exported file.

use crate::safetensors::Array;
use gradprobe::import::Subject;
use gradprobe::import::onnx::{OnnxNetwork, OnnxOptions};
use gradprobe::measure::{LayerRun, measure};
use gradprobe::num::scaled::scale;
use gradprobe::run::{Executor, Options};
use std::path::Path;

/// A trained parameter's gradient.
#[derive(Clone, Debug)]
pub struct Gradient {
    /// What gradprobe calls the parameter.
    pub name: String,
    /// Its gradient; zeros where no path leads to it.
    pub array: Array,
}

/// One run, forward and backward.
#[derive(Clone, Debug)]
pub struct Examined {
    /// The loss, where there is one.
    pub loss: Option<f64>,
    /// The gradient of every trained parameter.
    pub gradients: Vec<Gradient>,
    /// What was measured of every layer.
    pub layers: Vec<LayerRun>,
    /// What was chosen for the user.
    pub notes: Vec<String>,
}

/// Runs a file once in double precision.
///
/// # Errors
/// What gradprobe says of a file that it refuses.
pub fn examine(path: &Path, options: &OnnxOptions) -> Result<Examined, String> {
    let said = |error: &dyn std::fmt::Display| error.to_string();
    let network = OnnxNetwork::read(path, options).map_err(|error| said(&error))?;
    let graph = network.build(0).map_err(|error| said(&error))?;
    let batch = network.batch(0).map_err(|error| said(&error))?;
    let options = Options {
        mode: network.mode(),
        keep_gradients: true,
        threads: 1,
        ..Options::default()
    };
    let mut executor = Executor::<f64>::new(&graph, options).map_err(|error| said(&error))?;
    let output = executor.run(&batch).map_err(|error| said(&error))?;
    let layers = measure(&graph, &output.trace, None, 0).layers;
    let parameters = graph.parameters().iter().zip(output.gradients);
    let trained = parameters.filter(|(parameter, _)| parameter.trainable);
    let gradients = trained.map(|(parameter, gradient)| {
        let shape = graph.value(parameter.value).shape.to_vec();
        let data = match gradient {
            Some(gradient) => {
                let mut data = gradient.tensor.data().to_vec();
                scale(&mut data, gradient.exponent);
                data
            }
            None => vec![0.0; shape.iter().product()],
        };
        Gradient {
            name: parameter.name.clone(),
            array: Array { shape, data },
        }
    });
    Ok(Examined {
        loss: output.trace.loss,
        gradients: gradients.collect(),
        layers,
        notes: network.notes().to_vec(),
    })
}
