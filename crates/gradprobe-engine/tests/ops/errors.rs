//! Operands that do not fit give an error that says why; no shape makes `infer` panic.

use crate::cases::cases;
use crate::draw::Draw;
use gradprobe_engine::num::Shape;
use gradprobe_engine::ops::*;
use proptest::prelude::*;

fn refusal(op: &dyn Op, shapes: &[&[usize]]) -> String {
    let shapes: Vec<Shape> = shapes.iter().map(|shape| Shape::new(*shape)).collect();
    let shapes: Vec<&Shape> = shapes.iter().collect();
    match op.infer(&shapes) {
        Ok(out) => panic!("{op:?} took {shapes:?} and gives {out:?}"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_does_not_fit_is_named_with_what_would() {
    let linear = Linear { bias: true };
    assert_eq!(
        refusal(&linear, &[&[2, 3], &[4, 3]]),
        "takes 3 inputs, got 2"
    );
    assert_eq!(
        refusal(&linear, &[&[2, 5], &[4, 3], &[4]]),
        "weight takes 3 features, input has 5"
    );
    assert_eq!(
        refusal(&linear, &[&[2, 3], &[4, 3], &[3]]),
        "shape of the bias: expected [4], got [3]"
    );
    assert_eq!(
        refusal(&linear, &[&[2, 0], &[4, 0], &[4]]),
        "weight: expected at least one input and one output, got [4, 0]"
    );
    let conv = Conv::default();
    assert_eq!(
        refusal(&conv, &[&[1, 16, 8, 8], &[4, 3, 3, 3]]),
        "kernel has 3 input channels, input has 16"
    );
    assert_eq!(
        refusal(&conv, &[&[1, 3, 2, 8], &[4, 3, 3, 3]]),
        "window spans 3 positions along axis 2, input has 2 with its padding"
    );
    let grouped = Conv {
        groups: 2,
        ..Conv::default()
    };
    assert_eq!(
        refusal(&grouped, &[&[1, 8, 8, 8], &[4, 3, 3, 3]]),
        "kernel has 3 input channels in each of 2 groups, input has 8"
    );
    assert_eq!(
        refusal(&grouped, &[&[1, 6, 8, 8], &[5, 3, 3, 3]]),
        "group is 2, expected a divisor of the 5 kernels"
    );
    assert_eq!(
        refusal(&MatMul, &[&[2, 3], &[4, 2]]),
        "left operand has 3 columns, right operand has 4 rows"
    );
    assert_eq!(
        refusal(&CrossEntropy::default(), &[&[8, 10], &[8, 10]]),
        "shape of the target: expected [8], got [8, 10]"
    );
    assert_eq!(
        refusal(
            &Reshape {
                shape: vec![3, -1],
                ..Reshape::default()
            },
            &[&[2, 5]]
        ),
        "new shape: expected 10 elements, as [2, 5] has, got [3, -1]"
    );
    assert_eq!(
        refusal(&PRelu, &[&[2, 3], &[4, 2, 3]]),
        "shape of the slope: expected one that broadcasts to [2, 3], got [4, 2, 3]"
    );
    assert_eq!(
        refusal(&MaxPool::default(), &[&[1, 1, 4, 4]]),
        "kernel_shape is missing, expected 2 numbers"
    );
    assert_eq!(
        refusal(
            &Dropout {
                probability: 1.5,
                ..Dropout::default()
            },
            &[&[4]]
        ),
        "ratio is 1.5, expected a probability between 0 and 1"
    );
    assert_eq!(
        refusal(&BatchNorm { epsilon: f64::NAN }, &[]),
        "epsilon is NaN, expected a number of at least 0"
    );
}

#[test]
fn what_rearranges_or_indexes_says_what_would_fit() {
    let transposed = ConvTranspose::default();
    assert_eq!(
        refusal(&transposed, &[&[1, 16, 8, 8], &[4, 3, 3, 3]]),
        "kernel has 4 input channels, input has 16"
    );
    let cut = ConvTranspose {
        padding: vec![2, 2].into(),
        ..ConvTranspose::default()
    };
    assert_eq!(
        refusal(&cut, &[&[1, 2, 2], &[2, 2, 3]]),
        "axis 2 of the output without padding: expected more than 2 + 2 positions, got 4"
    );
    let stretched = ConvTranspose {
        strides: vec![usize::MAX / 2],
        ..ConvTranspose::default()
    };
    assert_eq!(
        refusal(&stretched, &[&[1, 2, 9], &[2, 2, 3]]),
        "output: expected a tensor that fits in memory, got a larger one"
    );
    assert_eq!(
        refusal(
            &GroupNorm {
                groups: 4,
                epsilon: 0.1
            },
            &[&[2, 6], &[6], &[6]]
        ),
        "num_groups is 4, expected a divisor of the 6 channels"
    );
    assert_eq!(
        refusal(&GatherElements { axis: 1 }, &[&[2, 3], &[3, 3]]),
        "shape of the indices: expected extents of at most those of [2, 3] but for axis 1, got \
         [3, 3]"
    );
    let top = TopK {
        k: 4,
        ..TopK::default()
    };
    assert_eq!(
        refusal(&top, &[&[2, 3]]),
        "k is 4, expected at most the 3 elements of axis 1"
    );
    let equation = "ij,jk->ik".to_string();
    assert_eq!(
        refusal(&Einsum { equation }, &[&[2, 3], &[4, 2]]),
        "axis 0 of operand 1: expected 3 positions, as elsewhere in the equation, got 4"
    );
    let whole = Split {
        axis: 1,
        split: vec![2, 2],
        ..Split::default()
    };
    assert_eq!(
        refusal(&whole, &[&[2, 3]]),
        "split is [2, 2], expected extents that add up to the 3 of the axis"
    );
    let expand = Expand {
        shape: vec![1 << 40, 1 << 40],
    };
    assert_eq!(
        refusal(&expand, &[&[1]]),
        "output: expected a tensor that fits in memory, got [1099511627776, 1099511627776]"
    );
    assert_eq!(
        refusal(&Squeeze { axes: vec![1] }, &[&[2, 3]]),
        "extent of axis 1: expected 1, to be dropped, got 3"
    );
}

#[test]
fn operands_of_sequence_ops_that_do_not_fit_are_named() {
    let lstm = Lstm::default();
    assert_eq!(
        refusal(&lstm, &[&[5, 2, 3], &[1, 16, 3], &[1, 15, 4]]),
        "recurrent weight: expected 4 times as many rows as columns, at least one, got [1, 15, 4]"
    );
    assert_eq!(
        refusal(&lstm, &[&[5, 2, 3], &[1, 16, 2], &[1, 16, 4]]),
        "shape of the weight: expected [1, 16, 3], got [1, 16, 2]"
    );
    let attention = Attention {
        query_heads: Some(3),
        ..Attention::default()
    };
    assert_eq!(
        refusal(&attention, &[&[1, 4, 8], &[1, 4, 8], &[1, 4, 8]]),
        "q_num_heads is 3, expected a divisor of the 8 features of the query"
    );
    assert_eq!(
        refusal(&Gather { axis: 2 }, &[&[5, 3], &[4]]),
        "axis is 2, expected between -2 and 1"
    );
    let rotary = RotaryEmbedding::default();
    assert_eq!(
        refusal(&rotary, &[&[1, 2, 4, 3]]),
        "rotary_embedding_dim is 3, expected an even number up to the 3 features of a head"
    );
}

#[test]
fn batch_norm_refuses_to_train_on_one_value_per_channel() {
    let x = gradprobe_engine::num::Tensor::<f64>::zeros([1, 3]);
    let row = gradprobe_engine::num::Tensor::<f64>::zeros([3]);
    let inputs = [x, row.clone(), row.clone(), row.clone(), row];
    let error = apply(&BatchNorm::default(), &Context::default(), &inputs).unwrap_err();
    assert!(
        error.to_string().contains("expected 2 values or more"),
        "{error}"
    );
    let eval = Context {
        mode: Mode::Eval,
        ..Context::default()
    };
    assert!(apply(&BatchNorm::default(), &eval, &inputs).is_ok());
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn no_shape_makes_infer_panic(
        seed in any::<u64>(),
        shapes in prop::collection::vec(
            prop::collection::vec(
                prop_oneof![0usize..5, Just(usize::MAX), Just(1 << 40), Just(usize::MAX / 2)],
                0..6,
            ),
            0..6,
        ),
    ) {
        let shapes: Vec<Shape> = shapes.into_iter().map(Shape).collect();
        let shapes: Vec<&Shape> = shapes.iter().collect();
        for entry in registry() {
            let op = (entry.from_attributes)(&Attributes::new()).unwrap();
            let _ = op.infer(&shapes);
        }
        for (_, make) in cases() {
            let case = make(&mut Draw(seed));
            let _ = case.op.infer(&shapes);
            // And with the right number of operands, one of them wrong.
            let own: Vec<&Shape> = case.inputs.iter().map(|input| input.shape()).collect();
            for wrong in 0..own.len() {
                let mut own = own.clone();
                if let Some(shape) = shapes.first() {
                    own[wrong] = shape;
                }
                let _ = case.op.infer(&own);
            }
        }
    }
}
