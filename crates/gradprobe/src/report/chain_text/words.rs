//! The words of a chain's report, in the languages it is written in.
//!
//! Every sentence is one function with a text a language, so that word order and plural classes
//! (Russian has three) are each language's own business.

use crate::diagnose::ZeroCause;
use crate::diagnose::chain::{Blocker, Dominant, LossFactor, RemedyKind, Tendency};
use crate::num::Dtype;

/// A language that reports are written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Language {
    /// English.
    #[default]
    English,
    /// Russian.
    Russian,
}

/// The form of a Russian noun after a number: one (1, 21), few (2 to 4, 22), many.
fn russian_plural(
    count: usize,
    one: &'static str,
    few: &'static str,
    many: &'static str,
) -> &'static str {
    match (count % 10, count % 100) {
        (_, 11..=14) => many,
        (1, _) => one,
        (2..=4, _) => few,
        _ => many,
    }
}

/// Decades to two places, by a true minus sign where it is negative.
fn decades(value: f64) -> String {
    let rounded = format!("{:.2}", value.abs());
    if value < 0.0 && rounded != "0.00" {
        format!("−{rounded}")
    } else {
        rounded
    }
}

/// Decades with their sign.
pub(super) fn signed_decades(value: f64) -> String {
    let text = decades(value);
    if value > 0.0 && text != "0.00" {
        format!("+{text}")
    } else {
        text
    }
}

macro_rules! words {
    ($($(#[$doc:meta])* $name:ident: $english:expr, $russian:expr;)*) => {
        $($(#[$doc])* pub(super) fn $name(self) -> &'static str {
            match self {
                Self::English => $english,
                Self::Russian => $russian,
            }
        })*
    };
}

impl Language {
    words! {
        derivation: "1. The derivation", "1. Вывод формул";
        by_chain_rule: "2. The gradients by the chain rule", "2. Градиенты по цепному правилу";
        by_autograd: "3. The same by the engine's reverse-mode autograd",
            "3. То же обратным проходом (autograd) движка";
        side_by_side: "4. The activations side by side", "4. Сравнение функций активации";
        conclusion: "5. Conclusion", "5. Заключение";
        layer: "layer", "слой";
        exact: "exact", "точно";
        lost: "decades lost", "потеряно порядков";
        no_bias: "no bias", "без смещения";
        helps: "What would help (each was tried on this chain):",
            "Что помогло бы (каждое проверено на этой цепочке):";
        remedy_cures: "helps", "помогает";
        remedy_eases: "eases it, no cure", "смягчает, но не решает";
        remedy_fails: "does not help", "не помогает";
        gradient_zero: "the gradient is 0", "градиент равен 0";
        nothing_helped: "None of them brings the first gradient near the last.",
            "Ничто из этого не сближает первый градиент с последним.";
        columns: "exact is to 106 bits; the other columns are what the framework's formulas give in that type.",
            "«точно»: 106 бит; остальные столбцы: что дают формулы фреймворка в этом типе.";
        multiply: "Multiply the factors to check a gradient by hand:",
            "Перемножьте множители, чтобы проверить градиент вручную:";
        input: "x", "x";
    }

    pub(super) fn chain(self, depth: usize) -> String {
        match self {
            Self::English if depth == 1 => "A chain of 1 layer".to_owned(),
            Self::English => format!("A chain of {depth} layers"),
            Self::Russian => {
                let layers = russian_plural(depth, "слоя", "слоёв", "слоёв");
                format!("Цепочка из {depth} {layers}")
            }
        }
    }

    /// The line of a gradient, in the notebook's own words in Russian.
    pub(super) fn gradient_of(self, layer: usize) -> String {
        match self {
            Self::English => format!("Gradient of W on layer {layer}:"),
            Self::Russian => format!("Градиент W на {layer} слое:"),
        }
    }

    pub(super) fn input_gradient(self) -> &'static str {
        match self {
            Self::English => "Gradient of x:",
            Self::Russian => "Градиент x:",
        }
    }

    pub(super) fn left_out(self, count: usize) -> String {
        match self {
            Self::English if count == 1 => "… 1 layer left out".to_owned(),
            Self::English => format!("… {count} layers left out"),
            Self::Russian => {
                let layers = russian_plural(count, "слой", "слоя", "слоёв");
                let left = russian_plural(count, "пропущен", "пропущено", "пропущено");
                format!("… {left} {count} {layers}")
            }
        }
    }

    pub(super) fn zero_cause(self, cause: ZeroCause) -> &'static str {
        match (self, cause) {
            (Self::English, ZeroCause::TrueZero) => "true zero",
            (Self::English, ZeroCause::Underflow) => "underflow",
            (Self::English, ZeroCause::Cancellation) => "cancellation",
            (Self::English, ZeroCause::Rounding) => "rounding",
            (Self::English, ZeroCause::Overflow) => "overflow",
            (Self::Russian, ZeroCause::TrueZero) => "истинный ноль",
            (Self::Russian, ZeroCause::Underflow) => "антипереполнение",
            (Self::Russian, ZeroCause::Cancellation) => "сокращение",
            (Self::Russian, ZeroCause::Rounding) => "округление",
            (Self::Russian, ZeroCause::Overflow) => "переполнение",
        }
    }

    pub(super) fn zeros(
        self,
        dtype: Dtype,
        cause: ZeroCause,
        layers: &str,
        smallest: &str,
    ) -> String {
        let meaning = match (self, cause) {
            (Self::English, ZeroCause::TrueZero) => "true zeros: the gradient is 0".to_owned(),
            (Self::English, ZeroCause::Underflow) => {
                format!("underflow: below {smallest}, the smallest number of the type, or by way of one that is")
            }
            (Self::English, ZeroCause::Cancellation) => {
                "cancellation: the framework's derivative rounds to 0, though the type could hold the true one".to_owned()
            }
            (Self::English, ZeroCause::Rounding) => {
                "rounding: a forward value was rounded onto the activation's flat part".to_owned()
            }
            (Self::English, ZeroCause::Overflow) => {
                "overflow: a forward value overflowed".to_owned()
            }
            (Self::Russian, ZeroCause::TrueZero) => "истинный ноль: градиент равен 0".to_owned(),
            (Self::Russian, ZeroCause::Underflow) => {
                format!("антипереполнение: меньше {smallest}, наименьшего числа этого типа, или через такое число")
            }
            (Self::Russian, ZeroCause::Cancellation) => {
                "сокращение: производная фреймворка округляется до 0, хотя истинная помещается в тип".to_owned()
            }
            (Self::Russian, ZeroCause::Rounding) => {
                "округление: прямой сигнал округлён до плоского участка активации".to_owned()
            }
            (Self::Russian, ZeroCause::Overflow) => {
                "переполнение: прямой сигнал переполнился".to_owned()
            }
        };
        match self {
            Self::English => format!("Zeros in {dtype} ({layers}): {meaning}."),
            Self::Russian => format!("Нули в {dtype} ({layers}): {meaning}."),
        }
    }

    pub(super) fn layers(self, count: usize, first: usize) -> String {
        match self {
            Self::English if count == 1 => format!("layer {first}"),
            Self::English => format!("{count} layers, the first is {first}"),
            Self::Russian if count == 1 => format!("слой {first}"),
            Self::Russian => {
                let layers = russian_plural(count, "слой", "слоя", "слоёв");
                format!("{count} {layers}, первый из них {first}")
            }
        }
    }

    pub(super) fn tendency(self, tendency: Tendency, lost: Option<f64>, depth: usize) -> String {
        let lost = lost.unwrap_or(0.0);
        let size = decades(lost.abs());
        match (self, tendency) {
            (Self::English, Tendency::Steady) if depth == 1 => {
                "there is one layer: nothing to compare it with.".to_owned()
            }
            (Self::English, Tendency::Steady) => {
                let verb = if lost < 0.0 { "gained" } else { "lost" };
                format!("the gradient keeps its size: {size} decades {verb} from layer {depth} to layer 1.")
            }
            (Self::English, Tendency::Vanishes) => {
                format!("the gradient vanishes: {size} decades are lost from layer {depth} to layer 1.")
            }
            (Self::English, Tendency::Explodes) => {
                format!("the gradient explodes: {size} decades are gained from layer {depth} to layer 1.")
            }
            (Self::English, Tendency::Zero(Blocker::Activation(layer))) => {
                format!("the gradient of layer 1 is exactly 0: the activation's derivative is 0 at layer {layer}.")
            }
            (Self::English, Tendency::Zero(Blocker::Weight(layer))) => {
                format!("the gradient of layer 1 is exactly 0: w{layer} is 0.")
            }
            (Self::English, Tendency::Zero(Blocker::Input)) => {
                "the gradient of layer 1 is exactly 0: x is 0, and x is its last factor.".to_owned()
            }
            (Self::English, Tendency::Unknown) => {
                "no digit of the first gradient holds: the chain amplifies every rounding error.".to_owned()
            }
            (Self::Russian, Tendency::Steady) if depth == 1 => {
                "слой один, сравнивать не с чем.".to_owned()
            }
            (Self::Russian, Tendency::Steady) => {
                let verb = if lost < 0.0 { "приобретено" } else { "потеряно" };
                format!("градиент сохраняет величину: от слоя {depth} к слою 1 {verb} {size} порядка.")
            }
            (Self::Russian, Tendency::Vanishes) => {
                format!("градиент затухает: от слоя {depth} к слою 1 потеряно {size} порядка.")
            }
            (Self::Russian, Tendency::Explodes) => {
                format!("градиент взрывается: от слоя {depth} к слою 1 приобретено {size} порядка.")
            }
            (Self::Russian, Tendency::Zero(Blocker::Activation(layer))) => {
                format!("градиент на 1 слое равен нулю точно: производная активации равна 0 на слое {layer}.")
            }
            (Self::Russian, Tendency::Zero(Blocker::Weight(layer))) => {
                format!("градиент на 1 слое равен нулю точно: w{layer} = 0.")
            }
            (Self::Russian, Tendency::Zero(Blocker::Input)) => {
                "градиент на 1 слое равен нулю точно: x = 0, а это его последний множитель.".to_owned()
            }
            (Self::Russian, Tendency::Unknown) => {
                "ни одна цифра первого градиента не достоверна: цепочка усиливает любую ошибку округления.".to_owned()
            }
        }
    }

    /// The sum of the split.
    pub(super) fn split(self, activation: f64, weight: f64, input: f64, total: f64) -> String {
        let [activation, weight, input, total] =
            [activation, weight, input, total].map(signed_decades);
        match self {
            Self::English => format!(
                "By factor, in decades: activation derivatives {activation}, weights {weight}, input against the last layer's {input}; sum {total}."
            ),
            Self::Russian => format!(
                "По множителям, в порядках: производные активации {activation}, веса {weight}, вход относительно входа последнего слоя {input}; сумма {total}."
            ),
        }
    }

    pub(super) fn dominant(self, dominant: Dominant, at: &str) -> String {
        let all = signed_decades(dominant.decades);
        let what = match (self, dominant.factor, dominant.layer) {
            (Self::English, LossFactor::Activation, Some((layer, alone))) => format!(
                "the activation derivative of layer {layer}, a{layer}'({at}), with {} of {all}",
                signed_decades(alone)
            ),
            (Self::English, LossFactor::Activation, None) => {
                format!("the activation derivatives together, {all}")
            }
            (Self::English, LossFactor::Weight, Some((layer, alone))) => {
                format!("w{layer} = {at}, with {} of {all}", signed_decades(alone))
            }
            (Self::English, LossFactor::Weight, None) => format!("the weights together, {all}"),
            (Self::English, LossFactor::Input, _) => format!("the size of the input, {all}"),
            (Self::Russian, LossFactor::Activation, Some((layer, alone))) => format!(
                "производная активации слоя {layer}, a{layer}'({at}): {} из {all}",
                signed_decades(alone)
            ),
            (Self::Russian, LossFactor::Activation, None) => {
                format!("производные активации вместе: {all}")
            }
            (Self::Russian, LossFactor::Weight, Some((layer, alone))) => {
                format!("w{layer} = {at}: {} из {all}", signed_decades(alone))
            }
            (Self::Russian, LossFactor::Weight, None) => format!("веса вместе: {all}"),
            (Self::Russian, LossFactor::Input, _) => format!("величина входа: {all}"),
        };
        match self {
            Self::English => format!("Most of it: {what}."),
            Self::Russian => format!("Главный множитель: {what}."),
        }
    }

    pub(super) fn per_layer(self, factor: &str) -> String {
        match self {
            Self::English => format!("On average a factor of {factor} a layer, towards the input."),
            Self::Russian => {
                format!("В среднем множитель {factor} на слой по направлению ко входу.")
            }
        }
    }

    pub(super) fn saturated(self, layers: &str) -> String {
        match self {
            Self::English => {
                format!("Saturated forward ({layers}): |a'| is below 1 % of its largest.")
            }
            Self::Russian => {
                format!("Насыщение в прямом проходе ({layers}): |a'| меньше 1 % своего максимума.")
            }
        }
    }

    pub(super) fn kink(self, layers: &str, name: &str, derivatives: &str) -> String {
        match self {
            Self::English => format!(
                "At a kink of {name} ({layers}) there is no derivative; a' = {derivatives} is PyTorch's choice."
            ),
            Self::Russian => format!(
                "В точке излома {name} ({layers}) производной нет; a' = {derivatives}, как выбрано в PyTorch."
            ),
        }
    }

    pub(super) fn fewer_digits(self) -> &'static str {
        match self {
            Self::English => {
                "This chain amplifies rounding errors: only the digits that hold are printed, ? where none does."
            }
            Self::Russian => {
                "Эта цепочка усиливает ошибки округления: напечатаны только верные цифры, ? там, где верных нет."
            }
        }
    }

    pub(super) fn remedy(self, kind: &RemedyKind) -> String {
        match (self, kind) {
            (Self::English, RemedyKind::Input(x)) => format!("input scaled to x = {x}"),
            (Self::English, RemedyKind::Activation(name)) => format!("activation {name}"),
            (Self::English, RemedyKind::Weight(w)) => format!("every w = {w}"),
            (Self::Russian, RemedyKind::Input(x)) => format!("вход, приведённый к x = {x}"),
            (Self::Russian, RemedyKind::Activation(name)) => format!("активация {name}"),
            (Self::Russian, RemedyKind::Weight(w)) => format!("все w = {w}"),
        }
    }

    pub(super) fn remedy_result(self, first_log10: f64, lost: Option<f64>) -> String {
        let first = format!("log10|df/dw1| = {}", decades(first_log10));
        match (self, lost) {
            (_, None) => first,
            (Self::English, Some(lost)) => format!("{first}, {} decades lost", decades(lost)),
            (Self::Russian, Some(lost)) => format!("{first}, потеряно порядков: {}", decades(lost)),
        }
    }

    pub(super) fn autograd_ran(self, difference: &str, place: &str) -> String {
        match self {
            Self::English => format!("largest relative difference {difference} ({place})"),
            Self::Russian => format!("наибольшее относительное расхождение {difference} ({place})"),
        }
    }

    pub(super) fn autograd_equal(self) -> &'static str {
        match self {
            Self::English => "no difference in any gradient",
            Self::Russian => "расхождений нет ни в одном градиенте",
        }
    }

    pub(super) fn autograd_unheld(self, layer: usize, compared: bool) -> String {
        match (self, compared) {
            (Self::English, true) => format!(
                "f64 cannot hold the forward signal from layer {layer} on; compared up to there"
            ),
            (Self::English, false) => format!(
                "f64 cannot hold the forward signal from layer {layer} on; nothing to compare"
            ),
            (Self::Russian, true) => {
                format!("f64 не вмещает прямой сигнал начиная со слоя {layer}; сравнение до него")
            }
            (Self::Russian, false) => {
                format!("f64 не вмещает прямой сигнал начиная со слоя {layer}; сравнивать нечего")
            }
        }
    }

    pub(super) fn autograd_too_deep(self, limit: usize) -> String {
        match self {
            Self::English => format!("not run: the engine's graph is built up to {limit} layers"),
            Self::Russian => {
                let layers = russian_plural(limit, "слоя", "слоёв", "слоёв");
                format!("не выполнялось: граф движка строится до {limit} {layers}")
            }
        }
    }

    pub(super) fn autograd_failed(self, reason: &str) -> String {
        match self {
            Self::English => format!("the engine failed: {reason}"),
            Self::Russian => format!("ошибка движка: {reason}"),
        }
    }

    pub(super) fn autograd_amplified(self) -> &'static str {
        match self {
            Self::English => "the chain amplifies the rounding errors of f64",
            Self::Russian => "цепочка усиливает ошибки округления f64",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn russian_nouns_follow_their_number() {
        let layers = |count| russian_plural(count, "слой", "слоя", "слоёв");
        let expected = [
            (1, "слой"),
            (2, "слоя"),
            (4, "слоя"),
            (5, "слоёв"),
            (11, "слоёв"),
            (12, "слоёв"),
            (21, "слой"),
            (22, "слоя"),
            (100, "слоёв"),
            (101, "слой"),
            (111, "слоёв"),
            (112, "слоёв"),
        ];
        for (count, form) in expected {
            assert_eq!(layers(count), form, "{count}");
        }
        assert_eq!(Language::Russian.chain(21), "Цепочка из 21 слоя");
        assert_eq!(Language::Russian.chain(4), "Цепочка из 4 слоёв");
    }

    #[test]
    fn a_gradients_line_is_the_notebooks_in_russian() {
        assert_eq!(Language::Russian.gradient_of(1), "Градиент W на 1 слое:");
    }

    #[test]
    fn decades_never_print_minus_zero() {
        assert_eq!(signed_decades(-0.001), "0.00");
        assert_eq!(signed_decades(-84.666), "−84.67");
        assert_eq!(signed_decades(2.184), "+2.18");
    }
}
