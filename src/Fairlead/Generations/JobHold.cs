using Fairlead.Limits;
using Fairlead.Limits.Budgets;

namespace Fairlead.Generations;

/// <summary>What a job holds of budgets until it ends, also over restarts. Immutable.</summary>
/// <param name="Model">Id of the model.</param>
/// <param name="Tokens">Input and output of the worst case.</param>
/// <param name="Pico">Its cost in picodollars.</param>
/// <param name="OutputCap">The cap of the output that this pays for; null for none.</param>
internal sealed record JobHold(string Model, long Tokens, long Pico, int? OutputCap)
{
    /// <summary>The process that has it in its lease; null if it counts by itself.</summary>
    public BudgetHolder? Holder { get; init; }

    /// <summary>The hold of a reservation; null if it holds nothing of any budget.</summary>
    public static JobHold? Of(TokenReservation? reservation) => reservation is { Money.HasBudgets: true, Amounts: { } amounts }
        && (amounts.Tokens > 0 || amounts.Pico > 0)
        ? new JobHold(reservation.Model, amounts.Tokens, reservation.Money.HasMoney ? amounts.Pico : 0, reservation.OutputCap) : null;
}
