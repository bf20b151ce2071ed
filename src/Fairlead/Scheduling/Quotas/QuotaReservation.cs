namespace Fairlead.Scheduling.Quotas;

/// <summary>What a call that is about to be sent was counted as, to be taken back if it is not sent.</summary>
/// <param name="Key">Id of the provider's key that has room for it; 0 for any.</param>
/// <param name="Number">Its number at that key; 0 if it was not counted.</param>
/// <param name="Tokens">Its input tokens, as they were counted.</param>
internal readonly record struct QuotaReservation(int Key, long Number, double Tokens);
