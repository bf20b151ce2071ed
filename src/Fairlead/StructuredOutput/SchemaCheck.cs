using System.Runtime.CompilerServices;
using Fairlead.Conversation;

namespace Fairlead.StructuredOutput;

/// <summary>A check of one value against a schema: the violations found, and the remaining budget.</summary>
/// <param name="most">Maximum violations to report.</param>
/// <param name="budget">Maximum schemas to try: nested branches grow faster than the text does.</param>
internal sealed class SchemaCheck(int most, int budget)
{
    public const int MaxNoted = 20;

    /// <summary>The maximum cost of one output, some tenths of a second.</summary>
    private const int MaxBudget = 2_000_000;

    /// <summary>
    /// Maximum nesting of schemas: enough for the deepest document, and too little to overflow the stack by one that only refers to itself.
    /// </summary>
    private const int MaxDepth = 1000;

    private int _depth;
    private bool _isOver;

    public List<SchemaViolation> Violations { get; } = [];

    /// <summary>Schemas tried so far, and other counted work.</summary>
    public int Steps { get; private set; }

    /// <summary>The budget for an output of so many bytes: more than any schema needs that does not multiply itself.</summary>
    public static int BudgetFor(int bytes) => (int)Math.Min(MaxBudget, 100_000 + (32L * bytes));

    /// <summary>Whether it makes sense to continue.</summary>
    public bool Enter()
    {
        if (_depth >= MaxDepth || !RuntimeHelpers.TryEnsureSufficientExecutionStack()) return Stop();
        if (!Spend(1) || Violations.Count >= most) return false;
        _depth++;
        return true;
    }

    public void Leave() => _depth--;

    /// <summary>Reduces the budget. False when it is used up.</summary>
    public bool Spend(int steps)
    {
        Steps = (int)Math.Min(int.MaxValue, (long)Steps + steps);
        return Steps <= budget || Stop();
    }

    /// <summary>Stops the check: the rest would take too long.</summary>
    public void GiveUp() => Spend(int.MaxValue);

    public void Add(OutputLocation? at, string detail)
    {
        if (Violations.Count < most) Violations.Add(new SchemaViolation(at?.Pointer() ?? "", detail));
    }

    /// <summary>For one of several branches, where only the result matters.</summary>
    public SchemaCheck Trial() => new(1, budget) { Steps = Steps, _depth = _depth };

    /// <summary>Adds the cost of a trial.</summary>
    public void Take(SchemaCheck trial) => Steps = trial.Steps;

    private bool Stop()
    {
        if (!_isOver) Add(null, "The output cannot be checked: the schema has too many alternatives.");
        _isOver = true;
        return false;
    }
}
