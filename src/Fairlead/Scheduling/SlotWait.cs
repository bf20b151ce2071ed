using Fairlead.Catalogue;
using Fairlead.Errors;

namespace Fairlead.Scheduling;

/// <summary>Result of a wait: a slot at <see cref="Deployment"/>, which must be returned, or the error. Neither of them if all deployments were closed.</summary>
internal readonly record struct SlotWait(Deployment? Deployment, GatewayError? Error);
