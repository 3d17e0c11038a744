"""The printed report, compared line by line with printouts of R."""

import pytest

from model_training.metrics import confusion_matrix
from model_training.report.caret_text import _common, _p_values, text


def printed(table, classes):
    """Return the printout without the blanks that R leaves at the ends of lines."""
    return "\n".join(line.rstrip() for line in text(confusion_matrix.from_table(table, classes)).splitlines())


def test_three_classes_are_printed_as_r_prints_them():
    """The golden table, in caret's default mode."""
    assert printed([[5, 1, 0], [1, 4, 1], [1, 1, 6]], "ABC") == (
        """Confusion Matrix and Statistics

          Reference
Prediction A B C
         A 5 1 0
         B 1 4 1
         C 1 1 6

Overall Statistics

               Accuracy : 0.75
                 95% CI : (0.509, 0.9134)
    No Information Rate : 0.35
    P-Value [Acc > NIR] : 0.0003106

                  Kappa : 0.6241

 Mcnemar's Test P-Value : 0.8012520

Statistics by Class:

                     Class: A Class: B Class: C
Sensitivity            0.7143   0.6667   0.8571
Specificity            0.9231   0.8571   0.8462
Pos Pred Value         0.8333   0.6667   0.7500
Neg Pred Value         0.8571   0.8571   0.9167
Prevalence             0.3500   0.3000   0.3500
Detection Rate         0.2500   0.2000   0.3000
Detection Prevalence   0.3000   0.3000   0.4000
Balanced Accuracy      0.8187   0.7619   0.8516"""
    )


def test_two_classes_are_printed_as_r_prints_them():
    """One class is never predicted: its predictive value is NaN, and all figures take two decimals."""
    assert printed([[11, 9], [0, 0]], "MR") == (
        """Confusion Matrix and Statistics

          Reference
Prediction  M  R
         M 11  9
         R  0  0

               Accuracy : 0.55
                 95% CI : (0.3153, 0.7694)
    No Information Rate : 0.55
    P-Value [Acc > NIR] : 0.591361

                  Kappa : 0

 Mcnemar's Test P-Value : 0.007661

            Sensitivity : 1.00
            Specificity : 0.00
         Pos Pred Value : 0.55
         Neg Pred Value :  NaN
             Prevalence : 0.55
         Detection Rate : 0.55
   Detection Prevalence : 1.00
      Balanced Accuracy : 0.50

       'Positive' Class : M
"""
    )


def test_a_class_without_a_prediction_is_nan_and_without_a_film_na():
    """R prints NaN for 0/0, and NA for a figure that needs an undefined one."""
    lines = printed([[9, 0, 1], [1, 0, 1], [0, 0, 0]], ("never true", "B", "C")).splitlines()

    assert "Pos Pred Value                  0.9000      NaN" not in lines
    values = {line[:20].rstrip(): line[20:].split() for line in lines if line.startswith(("Pos", "Sens"))}
    assert ["NA", "NaN"] == values["Pos Pred Value"][1:]
    assert "NA" == values["Sensitivity"][1]


def test_long_names_widen_the_table_and_break_it_at_eighty_columns():
    """Six findings do not fit into R's console; the last column follows below."""
    names = ("Covid-19", "Effusions", "Infiltration", "No-Findings", "Pneumonia", "Pneumothorax")
    lines = printed([[int(row == column) for column in range(6)] for row in range(6)], names).splitlines()

    assert "              Reference" == lines[2]
    assert "Prediction     Covid-19 Effusions Infiltration No-Findings Pneumonia" == lines[3]
    assert "  Covid-19            1         0            0           0         0" == lines[4]
    assert "Prediction     Pneumothorax" == lines[11]
    assert max(map(len, lines)) < 80


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ((0.2997392, 0.0002734), ["0.2997392", "0.0002734"]),
        ((5.15e-05, 0.1338), ["5.15e-05", "0.1338"]),
        ((1e-20, 0.003948), ["< 2.2e-16", "0.003948"]),
        ((1e-20, 0.569), ["<2e-16", "0.569"]),
        ((1e-20, None), ["< 2.2e-16", "NA"]),
        ((0.225904, 0.007963), ["0.225904", "0.007963"]),
    ],
)
def test_p_values_are_formatted_as_in_printouts_of_caret(values, expected):
    """Values of at least 1e-4 share their decimals; each row is from a printout of caret."""
    assert expected == _p_values(values)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.2142857, 0.0857143], ["0.00000", "0.21429", "0.08571"]),
        ([0.333333, 0.006369], ["0.333333", "0.006369"]),
        ([1, 0], ["1", "0"]),
        (["NA", 1.0], ["NA", "1"]),
        ([0.0001], ["1e-04"]),
        ([-0.25], ["-0.25"]),
    ],
)
def test_numbers_share_their_decimals_as_in_r(values, expected):
    """They have as few as show four digits of each number."""
    assert expected == _common(values, 4)
