using Fairlead.Pipeline;

namespace Fairlead.Limits;

/// <summary>
/// What the calls of one organization hold of budgets of money, by key, model, class and hour. Not thread-safe:
/// <see cref="OrganizationAccounts"/> guards it.
/// </summary>
internal sealed class HeldAmountsTable
{
    private readonly Dictionary<(string Key, string Model, string Class, DateTimeOffset Hour), HeldAmounts> _amounts = [];

    /// <summary>Lists what a reservation holds. Almost always without a look-up: the limits keep the place of the last one.</summary>
    public void Add(TokenReservation reservation, AppliedLimits limits, long pico)
    {
        if (limits.Held is not { IsRemoved: false } held || !held.Contains(reservation.AcceptedAt))
            limits.Held = held = Of(reservation);
        held.Open++;
        held.Pico += pico;
        reservation.Held = held;
    }

    public void Read(string organizationId, List<ReservedAmount> found)
    {
        foreach (var held in _amounts.Values)
        {
            if (held.Pico > 0)
                found.Add(new ReservedAmount(organizationId, held.ProjectId, held.KeyId, held.Model, held.Class, held.Hour, held.Pico));
        }
    }

    /// <summary>Removes what holds nothing.</summary>
    public void Sweep()
    {
        foreach (var (key, held) in _amounts)
        {
            if (held.Open > 0) continue;
            held.IsRemoved = true;
            _amounts.Remove(key);
        }
    }

    private HeldAmounts Of(TokenReservation reservation)
    {
        var hour = HeldAmounts.HourOf(reservation.AcceptedAt);
        var key = (reservation.KeyId, reservation.Model, reservation.Class, hour);
        if (_amounts.TryGetValue(key, out var known)) return known;
        return _amounts[key] = new HeldAmounts(reservation.ProjectId, reservation.KeyId, reservation.Model, reservation.Class, hour);
    }
}
