using Fairlead.Catalogue;
using Fairlead.Errors;

namespace Fairlead.Scheduling;

/// <summary>Result of a wait: a slot at <see cref="Deployment"/>, which must be returned, or the error.</summary>
internal readonly record struct SlotWait(Deployment? Deployment, GatewayError? Error);
