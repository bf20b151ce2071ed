using System.IO.Pipelines;
using Fairlead.Catalogue;
using Fairlead.Conversation;
using Fairlead.Dialects;
using Fairlead.FunctionalTests.Common;
using Fairlead.Limits;
using Fairlead.Pipeline;
using Fairlead.Providers;
using Fairlead.Scheduling;
using Fairlead.Streaming;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;

namespace Fairlead.FunctionalTests.Streaming;

/// <summary>Clients that leave at the worst moment: while their stream commits, when its first content arrives.</summary>
public sealed class LeavingClientTests
{
    private static CancellationToken Cancel => TestContext.Current.CancellationToken;

    [Theory]
    [InlineData("/v1/chat/completions", """{"model":"held","stream":true,"messages":[{"role":"user","content":"hi"}]}""")]
    [InlineData("/v1/responses", """{"model":"held","stream":true,"input":"hi","store":false}""")]
    public async Task Stream_ContentArrivesWhileTheCommitFails_ReturnsSlotAndReservation(string path, string body)
    {
        var content = new TaskCompletionSource();
        var provider = new HeldProvider(content.Task);
        await using var gateway = await TestGateway.StartAsync("fairlead: { stream: { commitAfter: 100ms } }", (builder, _) =>
        {
            builder.Services.AddSingleton<IModelSource>(provider);
            builder.Services.AddSingleton<IStartupFilter>(new FailingCommit(() =>
            {
                // The stages go on in here until they have returned the stream.
                if (content.TrySetResult()) throw new OperationCanceledException("The client has left.");
            }));
        });
        await Assert.ThrowsAnyAsync<Exception>(async () =>
        {
            using var response = await gateway.Client.PostJsonAsync(path, body);
            response.EnsureSuccessStatusCode();
            await response.Content.ReadAsStringAsync(Cancel);
        });
        var drain = gateway.Services.GetRequiredService<DrainState>();
        for (var i = 0; drain.Active > 0; i++)
        {
            Assert.True(i < 4000, "The call does not end.");
            await Task.Delay(TimeSpan.FromMilliseconds(5), TimeProvider.System, Cancel);
        }
        Assert.True(provider.IsClosed);
        Assert.Equal(0, gateway.Services.GetRequiredService<DeploymentSlots>().TakenAt("held/held"));
        Assert.Equal(0, ((InMemoryTokenLedger)gateway.Services.GetRequiredService<ITokenLedger>()).Totals().Open);
    }

    /// <summary>A model with one slot whose first content comes when a test says so.</summary>
    private sealed class HeldProvider : Provider, IModelSource
    {
        private readonly Task _content;

        public HeldProvider(Task content)
            : base("held", "held")
        {
            _content = content;
            Model = new RegisteredModel(
                "held", new ModelConfig { Kind = "chat", Deployments = [new DeploymentConfig { Provider = "held", Model = "held", MaxConcurrency = 1 }] }, this);
        }

        public RegisteredModel Model { get; }

        public bool IsClosed { get; private set; }

        public override bool Speaks(Dialect dialect) => false;

        public override ValueTask<GatewayReply> SendAsync(GatewayCall call, Attempt attempt, CancellationToken cancellationToken)
        {
            attempt.Sent = true;
            return new(new GatewayReply.Streaming(new HeldEvents(this)));
        }

        private sealed class HeldEvents(HeldProvider provider) : IEventSource
        {
            private bool _isRead;

            public async ValueTask<bool> ReadAsync(EventBatch batch, CancellationToken cancellationToken)
            {
                batch.Clear();
                if (_isRead) return false;
                _isRead = true;
                await provider._content;
                batch.Add(new TextDelta("hello"));
                batch.Add(new ChoiceFinished(FinishReason.Stop));
                return true;
            }

            public ValueTask DisposeAsync()
            {
                provider.IsClosed = true;
                return ValueTask.CompletedTask;
            }
        }
    }

    /// <summary>Fails when the status and the headers of a stream are sent.</summary>
    private sealed class FailingCommit(Action commits) : IStartupFilter
    {
        public Action<IApplicationBuilder> Configure(Action<IApplicationBuilder> next) => app =>
        {
            app.Use(async (context, rest) =>
            {
                if (context.Request.Path.StartsWithSegments("/v1"))
                {
                    context.Features.Set<IHttpResponseBodyFeature>(new Body(context.Features.GetRequiredFeature<IHttpResponseBodyFeature>(), commits));
                }
                await rest(context);
            });
            next(app);
        };
    }

    private sealed class Body(IHttpResponseBodyFeature inner, Action commits) : IHttpResponseBodyFeature
    {
        public Stream Stream => inner.Stream;

        public PipeWriter Writer => inner.Writer;

        public void DisableBuffering() => inner.DisableBuffering();

        public Task StartAsync(CancellationToken cancellationToken = default)
        {
            commits();
            return inner.StartAsync(cancellationToken);
        }

        public Task SendFileAsync(string path, long offset, long? count, CancellationToken cancellationToken = default) =>
            inner.SendFileAsync(path, offset, count, cancellationToken);

        public Task CompleteAsync() => inner.CompleteAsync();
    }
}
